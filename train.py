"""Train an encoder: python train.py experiment=NAME [overrides] [hydra.run.dir=DIR]."""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig

from src.commandline import command, make
from src.contracts.settings import TrainSettings


@command(TrainSettings, "train", shown="experiment=demo")
def main(settings: TrainSettings) -> None:
    """Train in the run's folder."""
    from src.training.run import train  # A config is composed and checked without torch.

    checkpoint = train(settings, Path(HydraConfig.get().runtime.output_dir), make=make)
    if checkpoint:
        print(f"checkpoint: {checkpoint}")


if __name__ == "__main__":
    main()
