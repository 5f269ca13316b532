"""Findings of a catalogue: the table, counts by reason, and sample pictures."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import pyarrow as pa
import pyarrow.compute as pc

from src.catalog.quality.measures import Measures
from src.catalog.quality.reasons import EXPLANATIONS, Reason
from src.catalog.reduced_picture import reduced_picture
from src.contracts.data_uri import data_uri
from src.contracts.image_errors import ImageError

__all__ = ["FINDINGS", "QualitySummary", "ReasonSummary", "Sample", "placeholders", "summarise"]

FINDINGS = pa.schema(
    [
        ("image_id", pa.string()),
        ("item_id", pa.string()),
        ("reason", pa.string()),
        ("reasons", pa.list_(pa.string())),
        ("message", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        *((field.name, pa.float32()) for field in fields(Measures)),
    ]
)
"""`Finding.row` of each image; `reason` is null for a good one."""


@dataclass(frozen=True)
class Sample:
    """A picture that shows a reason.

    Attributes:
        image_id: its id.
        message: what was found.
        uri: the picture as a data URI; None where it cannot be decoded.
    """

    image_id: str
    message: str
    uri: str | None


@dataclass(frozen=True)
class ReasonSummary:
    """One reason.

    Attributes:
        reason: its code.
        explanation: what it means.
        images: whose first fault it is.
        samples: some of them.
    """

    reason: str
    explanation: str
    images: int
    samples: tuple[Sample, ...]


@dataclass(frozen=True)
class QualitySummary:
    """All reasons that were found, in the order of `Reason`; `images` is the number of all images."""

    images: int
    good: int
    reasons: tuple[ReasonSummary, ...]


def summarise(findings: pa.Table, read: Callable[[str], bytes], *, samples: int = 12) -> QualitySummary:
    """Count, and draw samples: the same ones at every call, spread over the catalogue.

    Args:
        findings: with the columns `image_id`, `reason` and `message`.
        read: the file of an image id; it raises `ImageError` where there is none.
        samples: most pictures of a reason.
    """
    counts = Counter(findings["reason"].to_pylist())
    good = counts.pop(None, 0)
    reasons = []
    for reason in (reason for reason in Reason if reason in counts):
        rows = findings.filter(pc.equal(findings["reason"], reason)).select(["image_id", "message"]).to_pylist()
        rows.sort(key=lambda row: hashlib.sha256(row["image_id"].encode()).digest())
        shown = tuple(Sample(row["image_id"], row["message"], _uri(row["image_id"], read)) for row in rows[:samples])
        reasons.append(ReasonSummary(str(reason), EXPLANATIONS[reason], counts[reason], shown))
    return QualitySummary(images=len(findings), good=good, reasons=tuple(reasons))


def placeholders(pictures: Sequence[object], items: Sequence[str], *, max_items: int) -> list[bool]:
    """Which images are placeholders: a picture that stands under more than `max_items` items.

    Args:
        pictures: what is equal for equal pictures: a file's hash, or the representative of a group of duplicates; None
            for an image without one.
        items: the item of each image.
        max_items: the most items of one picture.
    """
    under: dict[object, set[str]] = {}
    for picture, item in zip(pictures, items, strict=True):
        under.setdefault(picture, set()).add(item)
    return [picture is not None and len(under[picture]) > max_items for picture in pictures]


def _uri(image_id: str, read: Callable[[str], bytes]) -> str | None:
    try:
        return data_uri(reduced_picture(read(image_id)), quality=70)
    except ImageError:
        return None
