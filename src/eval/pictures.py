"""A picture of queries and their best results."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from src.catalog.catalogue import Catalogue
from src.contracts.atomic_file import atomic_file
from src.contracts.preprocessing import PreprocessingSpec
from src.eval.evaluation import Evaluation
from src.eval.evenly_spread import evenly_spread

__all__ = ["draw_results"]

_CELL = PreprocessingSpec(size=128, resize="pad")
_MARGIN, _CAPTION, _FRAME = 14, 18, 4
_HIT, _MISS, _INK, _PAPER = (22, 140, 70), (205, 50, 50), (40, 40, 40), (255, 255, 255)


def draw_results(catalogue: Catalogue, evaluation: Evaluation, path: Path, *, queries: int, top: int = 5) -> None:
    """Draw queries, evenly spread over those that have a positive, each beside its best results.

    Hits have a green frame and a tick, misses a red frame and a cross; the cosine is written below each result.

    Args:
        catalogue: where the images are.
        evaluation: with the results of each query.
        path: PNG to write.
        queries: number of queries, one in each row.
        top: number of results in a row.
    """
    answerable = np.flatnonzero(evaluation.ranking.positives > 0)
    chosen = answerable[evenly_spread(len(answerable), queries)]
    step = _CELL.size + _MARGIN
    width, height = _MARGIN + (top + 1) * step + _MARGIN, _MARGIN + _CAPTION + len(chosen) * (step + _CAPTION)
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    draw.text((_MARGIN, _MARGIN / 2), "query", _INK, font)
    draw.text((2 * _MARGIN + step, _MARGIN / 2), f"top {top}: cosine, hit or miss", _INK, font)
    for line, query in enumerate(chosen):
        y = _MARGIN + _CAPTION + line * (step + _CAPTION)
        sheet.paste(_picture(catalogue, catalogue.row_of[evaluation.queries.image_ids[query]]), (_MARGIN, y))
        for place, found in enumerate(evaluation.ranking.top_rows[query, :top]):
            if found < 0:
                break
            x = 2 * _MARGIN + (place + 1) * step
            hit = evaluation.gallery.item_ids[found] == evaluation.queries.item_ids[query]
            colour = _HIT if hit else _MISS
            sheet.paste(_picture(catalogue, catalogue.row_of[evaluation.gallery.image_ids[found]]), (x, y))
            box = (x - _FRAME, y - _FRAME, x + _CELL.size + _FRAME - 1, y + _CELL.size + _FRAME - 1)
            draw.rectangle(box, outline=colour, width=_FRAME)
            score = evaluation.ranking.top_scores[query, place]
            _mark(draw, x + 2, y + _CELL.size + _FRAME + 2, hit, colour)
            draw.text((x + 18, y + _CELL.size + _FRAME), f"{score:.3f}", colour, font)
    with atomic_file(path) as temporary:
        sheet.save(temporary, "PNG")


def _picture(catalogue: Catalogue, row: int) -> Image.Image:
    return Image.fromarray(catalogue.pixels(row, _CELL))


def _mark(draw: ImageDraw.ImageDraw, x: float, y: float, hit: bool, colour: tuple[int, int, int]) -> None:
    """Draw a tick or a cross, which the default font lacks."""
    if hit:
        draw.line([(x, y + 6), (x + 4, y + 10), (x + 11, y + 1)], colour, 2)
    else:
        draw.line([(x, y + 1), (x + 9, y + 10)], colour, 2)
        draw.line([(x, y + 10), (x + 9, y + 1)], colour, 2)
