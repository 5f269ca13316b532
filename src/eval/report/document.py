"""The page itself: a template filled in and written whole."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from src.contracts.atomic_file import write_atomically
from src.eval.report.thumbnails import data_uri

__all__ = ["write_page"]

_HERE = Path(__file__).parent


def write_page(path: Path, parts: Mapping[str, Any]) -> None:
    """Fill the template in and write one file that needs nothing else: no network, no second file.

    Args:
        path: HTML to write.
        parts: what the template names; what is absent or empty leaves its section out. All text is escaped.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["data_uri"] = data_uri
    # Ours, and not from a caller: the two files that the page brings along.
    style, script = (Markup((_HERE / name).read_text()) for name in ("page.css", "page.js"))  # noqa: S704
    page = environment.get_template("page.html.j2").render(style=style, script=script, **parts)
    write_atomically(path, page)
