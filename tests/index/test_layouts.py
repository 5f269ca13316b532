"""What layouts say of their size, against files."""

from pathlib import Path

import numpy as np
import pytest

from src.contracts.errors import LookalikeError
from src.index.faiss_index import FaissIndex
from src.index.layouts import LAYOUTS, default_nlist, layout_named


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("rows", [2000, 6000])
def test_the_stated_bytes_are_the_file_s(tmp_path: Path, layout: str, rows: int) -> None:
    vectors = np.random.default_rng(0).standard_normal((rows, 24), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    FaissIndex.build(vectors, layout=layout, m=12, ef_construction=16, nlist=16).save(tmp_path / "index")
    stated = LAYOUTS[layout].bytes_per_vector(rows, 24, m=12, nlist=16)
    assert stated == pytest.approx((tmp_path / "index").stat().st_size / rows, rel=0.01)


def test_the_sizes_of_the_design() -> None:
    """100 k x 512, as measured when the layouts were chosen."""
    sizes = {"exact": 2048, "hnsw_fp32": 2320, "hnsw_fp16": 1296, "hnsw_sq8": 784, "ivf_sq8": 541}
    for layout, measured in sizes.items():
        assert LAYOUTS[layout].bytes_per_vector(100_000, 512) == pytest.approx(measured, rel=0.03)


def test_time_grows_with_the_vectors_and_only_with_them() -> None:
    for layout in LAYOUTS.values():
        assert layout.slowdown(1, 1) == layout.slowdown(0, 0) == 1
        assert 1 < layout.slowdown(1000, 2000) <= 2


def test_every_cluster_has_vectors_to_learn_from() -> None:
    assert default_nlist(100_000) == 1024
    assert default_nlist(1_000_000) == 4096
    for rows in (1, 38, 39, 256, 5000, 10**8):
        assert default_nlist(rows) == 1 or rows / default_nlist(rows) >= 39


def test_time_grows_as_it_is_said_to() -> None:
    assert LAYOUTS["exact"].slowdown(10, 1000) == 100
    assert LAYOUTS["hnsw_sq8"].slowdown(10, 1000) == pytest.approx(3)
    assert LAYOUTS["ivf_sq8"].slowdown(10, 1000) == pytest.approx(10)


def test_other_names_are_refused() -> None:
    with pytest.raises(LookalikeError, match="`layout=hnsw`: must be one of exact, hnsw_fp32, hnsw_fp16"):
        layout_named("hnsw")
