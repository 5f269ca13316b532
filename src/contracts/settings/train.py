"""Settings of `python train.py`."""

from dataclasses import asdict, dataclass, field

from src.contracts.preprocessing import PreprocessingSpec
from src.contracts.settings._problems import raise_all
from src.contracts.settings._secrets import secret_problems
from src.contracts.settings.clicks import ClickSettings, click_problems
from src.contracts.settings.component import Component, class_name, component_problems
from src.contracts.settings.data import MISSING, DataSettings, data_problems
from src.contracts.settings.encoder import EncoderSettings, encoder_problems
from src.contracts.settings.metric import MetricSettings, metric_problems
from src.contracts.settings.neighbours import NeighbourSettings, neighbour_problems
from src.contracts.settings.objective import ObjectiveSettings, objective_problems
from src.contracts.settings.optim import OptimSettings, optim_problems
from src.contracts.settings.trainer import TrainerSettings, trainer_problems

__all__ = ["TrainSettings"]

_PK_SAMPLER = {"_target_": "src.datamodules.pk_sampler.PKSampler", "_partial_": True}
_ADAMW = {"_target_": "torch.optim.AdamW", "_partial_": True}
_ONE_CYCLE = {"_target_": "src.training.schedules.one_cycle", "_partial_": True}


@dataclass
class TrainSettings:
    """`python train.py`.

    Attributes:
        trust: packages that are imported first, which may register backbones, heads and readers of their own, and of
            which checkpoints may name classes: importing runs their code.
        augmentation: a transform of one image, uint8 of shape (3, height, width), as torchvision's v2; takes the place
            of `data.augmentation`.
    """

    name: str = MISSING
    seed: int = 0
    trust: list[str] = field(default_factory=list)
    data: DataSettings = field(default_factory=DataSettings)
    preprocessing: PreprocessingSpec = field(default_factory=PreprocessingSpec)
    model: EncoderSettings = field(default_factory=EncoderSettings)
    augmentation: Component = field(default_factory=dict)
    sampler: Component = field(default_factory=lambda: dict(_PK_SAMPLER))
    loss: Component = field(default_factory=dict)
    miner: Component = field(default_factory=dict)
    objective: ObjectiveSettings = field(default_factory=ObjectiveSettings)
    neighbours: NeighbourSettings = field(default_factory=NeighbourSettings)
    clicks: ClickSettings = field(default_factory=ClickSettings)
    optim: OptimSettings = field(default_factory=OptimSettings)
    optimizer: Component = field(default_factory=lambda: dict(_ADAMW))
    scheduler: Component = field(default_factory=lambda: dict(_ONE_CYCLE))
    metric: MetricSettings = field(default_factory=MetricSettings)
    trainer: TrainerSettings = field(default_factory=TrainerSettings)
    callbacks: Component = field(default_factory=dict)
    logger: Component = field(default_factory=dict)

    def check(self) -> None:
        """Raise `ConfigError` with everything that cannot work."""
        problems = [*data_problems(self.data, trust=self.trust), *encoder_problems(self.model, trust=self.trust)]
        problems += [*optim_problems(self.optim), *trainer_problems(self.trainer), *secret_problems(asdict(self))]
        problems += objective_problems(self.loss, self.miner, self.objective, p=self.data.p, k=self.data.k)
        problems += [
            f"`callbacks.{name}={value}`: names no class; set `callbacks.{name}._target_`"
            for name, value in self.callbacks.items()
            if not (isinstance(value, dict) and class_name(value))
        ]
        if self.optim.ema and "MovingAverage" in map(class_name, self.callbacks.values()):
            problems.append(f"`optim.ema={self.optim.ema}` with callbacks=ema: two averages; leave one out")
        for name in ("sampler", "optimizer", "scheduler", "augmentation", "callbacks", "logger"):
            problems += component_problems(name, getattr(self, name))
        problems += component_problems("trainer.lightning", self.trainer.lightning)
        problems += [*metric_problems(self.metric), *click_problems(self.clicks)]
        problems += neighbour_problems(
            self.neighbours,
            sampler=class_name(self.sampler),
            clicks=self.clicks.weight,
            epochs=self.trainer.epochs,
        )
        if self.model.lora.rank is not None and self.optim.l2_sp:
            problems.append(
                f"`optim.l2_sp={self.optim.l2_sp}` with `model.lora.rank={self.model.lora.rank}`: the backbone's "
                "weights do not change, and its adapters have no start to stay near; set `optim.l2_sp=0`"
            )
        if self.data.p < 2:
            problems.append(f"`data.p={self.data.p}`: negatives need at least 2 items per batch; set `data.p=16`")
        devices = self.trainer.devices
        if devices > 1 and self.data.p % devices:
            problems.append(
                f"`data.p={self.data.p}`: must be a multiple of `trainer.devices={devices}`, so that each process has "
                "whole items"
            )
        if devices > 1 and self.optim.unfreeze:
            problems.append(
                f"`optim.unfreeze` with `trainer.devices={devices}`: processes agree on what trains before the first "
                "step; unfreeze on one device, or set `optim.unfreeze={}`"
            )
        if not 0 <= self.seed < 2**32:
            problems.append(f"`seed={self.seed}`: must lie in 0..{2**32 - 1}")
        raise_all(problems)
