"""The summary of a catalogue's quality as one self-contained HTML file."""

from collections.abc import Sequence
from pathlib import Path

import jinja2

from src.catalog.quality.summary import QualitySummary
from src.contracts.atomic_file import write_atomically

__all__ = ["write_quality_report"]


def write_quality_report(path: Path, summary: QualitySummary, *, title: str, notes: Sequence[str] = ()) -> None:
    """Write counts by reason and sample pictures.

    Args:
        path: the HTML file.
        summary: of `summarise`.
        title: of the page.
        notes: paragraphs below the counts.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.get_template("report.html.jinja").render(title=title, summary=summary, notes=notes)
    write_atomically(path, page)
