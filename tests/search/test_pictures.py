"""Pictures are read by row, and what is no such file is refused."""

from pathlib import Path

import pyarrow as pa
import pytest

from src.contracts.bundle import THUMBNAILS
from src.contracts.errors import BundleError
from src.search.pictures import Pictures
from tests.search.small_bundle import Shop


def test_each_row_has_its_picture(shop: Shop) -> None:
    pictures = Pictures(shop.root / THUMBNAILS)
    assert len(pictures) == len(shop.pictures)
    assert [pictures.jpeg(row) for row in range(len(pictures))] == shop.pictures
    assert pictures.image_ids.to_pylist() == shop.table["image_id"].to_pylist()


def test_what_is_no_such_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not a readable table"):
        Pictures(tmp_path / "nothing")
    made = pa.table({"image_id": ["a"]})
    with pa.ipc.new_file(tmp_path / "other", made.schema) as writer:
        writer.write_table(made)
    with pytest.raises(BundleError, match="it has no column jpeg"):
        Pictures(tmp_path / "other")
