"""Explain the worst false positives of an evaluation and the positives that they displaced, as pictures."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from src.catalog.catalogue import Catalogue
from src.contracts.preprocessing import PreprocessingSpec
from src.datamodules.pixels import iterate_pixels
from src.eval.evaluation import Evaluation
from src.eval.explanations.false_positives import worst_false_positives
from src.eval.explanations.overlay import overlay
from src.eval.explanations.pairs import explain_pairs
from src.models.encoder import Encoder

__all__ = ["Explained", "ExplainedResult", "explain_worst", "panel"]

_SIDE, _MARGIN, _CAPTION = 160, 10, 20
_INK, _PAPER = (40, 40, 40), (255, 255, 255)


@dataclass(frozen=True)
class ExplainedResult:
    """A query beside one result, each with its map.

    Attributes:
        image_id: of the result.
        item_id: of the result.
        score: cosine of the two.
        rank: the result's, from 1.
        query: the query's picture.
        query_overlay: the query under the map of its similarity to the result.
        result_overlay: the result under the map of its similarity to the query.
        result: the result's picture.
    """

    image_id: str
    item_id: str
    score: float
    rank: int
    query: Image.Image
    query_overlay: Image.Image
    result_overlay: Image.Image
    result: Image.Image


@dataclass(frozen=True)
class Explained:
    """A query's false positive, and its nearest positive.

    Attributes:
        query_image_id: the query's image.
        query_item_id: the query's item.
        false_positive: the first result, which is wrong.
        missed_positive: the best right result.
    """

    query_image_id: str
    query_item_id: str
    false_positive: ExplainedResult
    missed_positive: ExplainedResult


def explain_worst(
    catalogue: Catalogue,
    evaluation: Evaluation,
    encoder: Encoder,
    spec: PreprocessingSpec,
    n: int,
    *,
    method: str = "grad_cam",
) -> list[Explained]:
    """Explain the worst false positives beside the positives that they displaced.

    Args:
        catalogue: where the images are.
        evaluation: of the encoder on this catalogue.
        encoder: the one that was evaluated.
        spec: its preprocessing.
        n: most false positives.
        method: see `explain_pairs`.
    """
    worst = worst_false_positives(evaluation, n)
    if not worst:
        return []
    query_rows = [catalogue.row_of[evaluation.queries.image_ids[one.query]] for one in worst]
    wrong, right = (
        [catalogue.row_of[evaluation.gallery.image_ids[row]] for row in rows]
        for rows in ([one.found for one in worst], [one.missed for one in worst])
    )
    rows = np.array([*query_rows, *wrong, *right], dtype=np.int64)
    query, found, missed = np.split(np.concatenate(list(iterate_pixels(catalogue, rows, spec, batch=64))), 3)
    sides = [(result, *explain_pairs(encoder, query, result, method=method)) for result in (found, missed)]

    def result(at: int, behind: int, row: int, score: float, rank: int) -> ExplainedResult:
        pixels, query_maps, result_maps = sides[behind]
        return ExplainedResult(
            image_id=str(evaluation.gallery.image_ids[row]),
            item_id=str(evaluation.gallery.item_ids[row]),
            score=score,
            rank=rank,
            query=_picture(query[at]),
            query_overlay=overlay(query[at], query_maps[at], side=_SIDE),
            result_overlay=overlay(pixels[at], result_maps[at], side=_SIDE),
            result=_picture(pixels[at]),
        )

    return [
        Explained(
            query_image_id=str(evaluation.queries.image_ids[one.query]),
            query_item_id=str(evaluation.queries.item_ids[one.query]),
            false_positive=result(at, 0, one.found, one.found_score, 1),
            missed_positive=result(at, 1, one.missed, one.missed_score, one.missed_rank),
        )
        for at, one in enumerate(worst)
    ]


def panel(explained: Explained) -> Image.Image:
    """One picture: the false positive above, the missed positive below; plain, overlaid, overlaid, plain."""
    step = _SIDE + _MARGIN
    sheet = Image.new("RGB", (_MARGIN + 4 * step, _MARGIN + 2 * (step + _CAPTION)), _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for line, (what, one) in enumerate(
        (("false positive", explained.false_positive), ("missed positive", explained.missed_positive))
    ):
        top = _MARGIN + line * (step + _CAPTION)
        for place, picture in enumerate((one.query, one.query_overlay, one.result_overlay, one.result)):
            sheet.paste(picture, (_MARGIN + place * step, top + _CAPTION))
        draw.text((_MARGIN, top), f"query {explained.query_item_id}", _INK, font)
        text = f"{what} {one.item_id}: cosine {one.score:.3f}, rank {one.rank}"
        draw.text((_MARGIN + 2 * step, top), text, _INK, font)
    return sheet


def _picture(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
