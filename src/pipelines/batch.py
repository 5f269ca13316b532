"""A catalogue to embeddings and a bundle: python -m src.pipelines.batch bundle=DIR output=DIR [publish=DIR]."""

from src.commandline import command
from src.pipelines.settings import BatchSettings


@command(BatchSettings, "batch", completed_later="data")
def main(settings: BatchSettings) -> None:
    """Bring the tables up to date, and print what was done."""
    from src.pipelines.run import run_batch  # A config is composed and checked without what embeds.

    run_batch(settings)


if __name__ == "__main__":
    main()
