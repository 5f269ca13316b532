"""Another encoder for a served catalogue: python -m src.pipelines.backfill bundle=NEW publish=SERVED output=DIR."""

from src.commandline import command
from src.pipelines.settings import BatchSettings


@command(BatchSettings, "batch", completed_later="data")
def main(settings: BatchSettings) -> None:
    """Embed everything beside the old embeddings, compare, and exchange the bundle."""
    from src.pipelines.exchange_encoder import backfill  # A config is composed and checked without what embeds.

    backfill(settings)


if __name__ == "__main__":
    main()
