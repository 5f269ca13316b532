"""Render the report's template into one HTML file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from src.contracts.atomic_file import write_atomically
from src.contracts.data_uri import data_uri

__all__ = ["write_page"]

_HERE = Path(__file__).parent


def write_page(path: Path, parts: Mapping[str, Any]) -> None:
    """Render the template and write one self-contained file, which needs neither network nor other files.

    Args:
        path: the HTML file to write.
        parts: the template's variables; a section whose variable is missing or empty is left out. Text is escaped.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["data_uri"] = data_uri
    # Not escaped: they are our own files.
    style, script = (Markup((_HERE / name).read_text()) for name in ("page.css", "page.js"))  # noqa: S704
    page = environment.get_template("page.html.j2").render(style=style, script=script, **parts)
    write_atomically(path, page)
