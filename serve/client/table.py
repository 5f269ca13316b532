"""Results as text, for a terminal."""

import unicodedata

from serve.schemas import Results

__all__ = ["as_table"]

_WIDEST = 40


def as_table(results: Results) -> str:
    """One line a result, the columns that nothing stands in left out.

    Args:
        results: what was found.
    """
    columns = {
        "rank": [str(found.rank) for found in results.results],
        "score": ["" if found.score is None else f"{found.score:.3f}" for found in results.results],
        "item": [found.item_id for found in results.results],
        "category": [found.category or "" for found in results.results],
        "brand": [found.brand or "" for found in results.results],
        "color": [found.color or "" for found in results.results],
        "price": ["" if found.price is None else f"{found.price:.2f}" for found in results.results],
        "stock": ["" if found.in_stock is None else "yes" if found.in_stock else "no" for found in results.results],
    }
    if not results.results:
        return "no items found"
    filled = {name: [name, *map(_shown, cells)] for name, cells in columns.items() if any(cells)}
    right = {"rank", "score", "price"}
    for name, cells in filled.items():
        width = max(map(_width, cells))
        filled[name] = [
            " " * (width - _width(cell)) + cell if name in right else cell + " " * (width - _width(cell))
            for cell in cells
        ]
    return "\n".join("  ".join(row).rstrip() for row in zip(*filled.values(), strict=True))


def _shown(text: str) -> str:
    """Without what a terminal obeys: names come from a catalogue, and that from anywhere."""
    clean = "".join(" " if unicodedata.category(letter).startswith("C") else letter for letter in text)
    return clean if len(clean) <= _WIDEST else clean[: _WIDEST - 1] + "…"


def _width(text: str) -> int:
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )
