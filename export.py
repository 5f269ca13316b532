"""Export a checkpoint as a bundle: python export.py checkpoint=PATH output=DIR."""

from src.commandline import command
from src.contracts.settings import ExportSettings


@command(ExportSettings, "export", completed_later="data")
def main(settings: ExportSettings) -> None:
    """Write the bundle and print its path."""
    from src.export.command import export  # A config is composed and checked without torch.

    export(settings)


if __name__ == "__main__":
    main()
