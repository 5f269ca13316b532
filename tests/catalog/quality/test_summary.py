"""The summary counts each image once and shows the same samples each time; the report is one safe file."""

from pathlib import Path

import pyarrow as pa

from src.catalog.image_source import UnreadableImageError
from src.catalog.quality.report import write_quality_report
from src.catalog.quality.summary import FINDINGS, placeholders, summarise
from tests.pictures import encode, smooth_picture

ROWS = [
    {"image_id": f"{reason or 'good'} {number}<b>", "reason": reason, "message": f"{reason}: why"}
    for reason, count in ((None, 5), ("blurred", 30), ("corrupt", 2))
    for number in range(count)
]
FINDINGS_TABLE = pa.Table.from_pylist(ROWS, schema=FINDINGS)


def read(image_id: str) -> bytes:
    if image_id.startswith("corrupt"):
        raise UnreadableImageError("no such file")
    return encode(smooth_picture(60, 60, seed=1), "PNG")


def test_counts_and_samples() -> None:
    summary = summarise(FINDINGS_TABLE, read, samples=4)
    assert (summary.images, summary.good) == (37, 5)
    # In the order of `Reason`.
    assert [(each.reason, each.images, len(each.samples)) for each in summary.reasons] == [
        ("corrupt", 2, 2),
        ("blurred", 30, 4),
    ]
    assert [sample.uri for sample in summary.reasons[0].samples] == [None, None]
    assert all(sample.uri.startswith("data:image/jpeg;base64,") for sample in summary.reasons[1].samples)
    assert summarise(FINDINGS_TABLE.take(list(reversed(range(37)))), read, samples=4) == summary


def test_the_report_escapes_and_names_all(tmp_path: Path) -> None:
    summary = summarise(FINDINGS_TABLE, read, samples=3)
    write_quality_report(tmp_path / "report.html", summary, title="Images of <x>", notes=["3 pairs"])
    page = (tmp_path / "report.html").read_text()
    for text in ("Images of &lt;x&gt;", "blurred: why", "81.08 %", "3 pairs", "30 images, 3 shown"):
        assert text in page
    assert "<b>corrupt 0<b></b>" not in page


def test_a_picture_under_many_items_is_a_placeholder() -> None:
    pictures = ["p"] * 4 + ["q"] * 4 + [None] * 4
    items = ["a", "b", "c", "c"] + ["a", "b", "c", "d"] + ["a", "b", "c", "d"]
    assert placeholders(pictures, items, max_items=3) == [False] * 4 + [True] * 4 + [False] * 4
