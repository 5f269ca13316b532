"""Masks in the geometry of the pixels."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from src.catalog.catalogue import Catalogue
from src.contracts.errors import TableError
from src.contracts.preprocessing import PreprocessingSpec
from src.eval.explanations.masks import read_masks
from tests.pictures import encode


def test_masks_follow_the_way_of_resizing_and_padding_is_outside(tmp_path: Path) -> None:
    mask = np.zeros((20, 40), np.uint8)
    mask[:, 20:] = 255
    (tmp_path / "one.png").write_bytes(encode(mask, "PNG"))
    (tmp_path / "all.png").write_bytes(encode(np.full((20, 40), 255, np.uint8), "PNG"))
    catalogue = Catalogue(pa.table({"mask": ["absent.png", "one.png", "all.png"]}), tmp_path)
    rows = np.array([2, 1])
    everything, half = read_masks(catalogue, rows, PreprocessingSpec(size=16, resize="squash"))
    assert everything.all()
    assert half.dtype == bool
    np.testing.assert_array_equal(half, np.tile(np.arange(16) >= 8, (16, 1)))
    padded = read_masks(catalogue, rows, PreprocessingSpec(size=16, resize="pad"))
    assert padded[0].sum() == 16 * 8
    assert padded[0, 4:12].all()
    assert padded[1, 4:12, 8:].all()
    assert padded[1].sum() == 8 * 8


def test_a_catalogue_without_masks_is_named() -> None:
    with pytest.raises(TableError, match="no column `mask`; only the built-in shop"):
        read_masks(Catalogue(pa.table({"image": ["a"]}), Path()), np.array([0]), PreprocessingSpec(size=16))
