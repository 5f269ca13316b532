"""Evaluate: python evaluate.py checkpoint=PATH | embeddings=FILE | baseline=NAME, output=DIR."""

from src.commandline import command
from src.contracts.settings import EvaluateSettings


@command(EvaluateSettings, "evaluate", completed_later="data")
def main(settings: EvaluateSettings) -> None:
    """Evaluate, and write and print the results."""
    from src.eval.command import evaluate  # A config is composed and checked without torch.

    evaluate(settings)


if __name__ == "__main__":
    main()
