"""The drift reference against slow formulas, on ordinary and on ugly samples."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from src.catalog.catalogue import open_catalogue
from src.contracts.drift_reference import BINS, SCALARS, DriftReference, read_drift_reference
from src.contracts.effective_rank import effective_rank
from src.export.drift_reference import bin_edges, drift_reference, save_reference, write_drift_reference
from src.export.runtime import OnnxEncoder
from src.index.faiss_index import FaissIndex
from tests.pictures import encode, smooth_picture


def unit(count: int, dim: int = 6, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, dim)) * np.arange(1, dim + 1) + 1
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def made(vectors: np.ndarray, categories: list | None = None) -> DriftReference:
    scalars = np.random.default_rng(1).random((len(vectors), len(SCALARS))).astype(np.float32)
    scalars[:, 0] = np.nan
    return drift_reference(vectors, scalars, categories or [None] * len(vectors), encoder_id="e")


def counts_of(values: np.ndarray) -> list[int]:
    edges = bin_edges(values)
    bins = [sum(value >= edge for edge in edges) for value in values if not np.isnan(value)]
    return np.bincount(bins, minlength=BINS).tolist()


def test_bins_of_different_values_are_equally_full() -> None:
    assert counts_of(np.random.default_rng(0).random(200).astype(np.float32)) == [20] * 10
    assert max(counts_of(np.random.default_rng(0).random(107).astype(np.float32))) <= 12


def test_equal_values_share_a_bin_and_rounding_moves_none_across() -> None:
    half = np.concatenate([np.zeros(50), np.random.default_rng(0).random(50) + 0.1]).astype(np.float32)
    counts = counts_of(half)
    assert 50 in counts
    edges = bin_edges(half)
    moved = half + np.float32(1e-6) * np.random.default_rng(1).standard_normal(100).astype(np.float32)
    np.testing.assert_array_equal((half[:50, None] >= edges).sum(1), (moved[:50, None] >= edges).sum(1))
    assert counts_of(np.array([1, 2, 2, 2, 3] * 20, np.float32))[:3] == [20, 60, 20]
    for values in (half, np.array([1, 2, 2, 2, 3], np.float32)):
        edges = bin_edges(values)
        assert (np.diff(edges[np.isfinite(edges)]) > 0).all()
        assert not np.isin(edges, values).any()


def test_a_constant_has_a_bin_of_its_own_and_no_value_none() -> None:
    edges = bin_edges(np.full(30, 600, np.float32))
    assert [(value >= edges).sum() for value in (599, 600, 601)] == [0, 1, 2]
    assert np.isinf(bin_edges(np.full(5, np.nan, np.float32))).all()


def test_half_makes_the_axes_and_the_other_half_is_counted_along_them() -> None:
    vectors = unit(300)
    found = made(vectors)
    order = np.random.default_rng(0).permutation(300)
    making, counted = vectors[order[::2]], vectors[order[1::2]]
    np.testing.assert_allclose(found.axes @ found.axes.T, np.eye(6), atol=1e-5)
    around = making - vectors.mean(axis=0)
    spread = np.sort(np.linalg.svd(around, compute_uv=False) ** 2)[::-1]
    np.testing.assert_allclose(((around @ found.axes.T) ** 2).sum(axis=0), spread, rtol=1e-3, atol=1e-4)
    along = (counted - vectors.mean(axis=0)) @ found.axes.T
    np.testing.assert_allclose(found.products, along.T @ along, atol=1e-3)
    np.testing.assert_allclose(found.along, along.sum(axis=0), atol=1e-3)
    assert (int(found.images), int(found.spread_images)) == (300, 150)
    assert found.counts.sum(axis=1).tolist() == [300] * 6 + [150] * 6 + [0] + [300] * 6
    assert np.isnan(found.quantiles[0]).all()


def test_the_ranks_null_is_that_of_fresh_samples() -> None:
    reference = made(unit(4000, seed=3))
    ranks = []
    for seed in range(300):
        along = reference.along_axes(unit(400, seed=1000 + seed)).astype(np.float64)
        ranks.append(effective_rank(400, along.sum(axis=0), along.T @ along))
    whole = reference.along_axes(unit(200_000, seed=7)).astype(np.float64)
    true = effective_rank(len(whole), whole.sum(axis=0), whole.T @ whole)
    assert np.std(ranks) * 20 == pytest.approx(float(reference.rank_deviation), rel=0.2)
    assert np.mean(ranks) == pytest.approx(true - float(reference.rank_bias) / 400, abs=0.02)


def test_the_most_frequent_categories_are_kept() -> None:
    names = [f"c{number:02d}" for number in range(20) for _ in range(number + 1)]
    found = made(unit(len(names)), [*names[:-1], None])
    assert found.categories.tolist() == [f"c{number:02d}" for number in range(4, 20)]
    assert found.category_counts.sum() == len(names) - 1
    assert found.category_counts[-1] == 1 + 2 + 3 + 4
    assert found.slice_counts.shape == (16, 6 + len(SCALARS), BINS)


@pytest.mark.parametrize("vectors", [unit(1), np.tile(unit(1), (5, 1)), np.concatenate([unit(2), -unit(2)])])
def test_one_row_equal_rows_and_rows_without_a_mean_are_finite(vectors: np.ndarray) -> None:
    found = made(vectors)
    for name in ("mean", "axes", "counts", "along", "products", "rank_bias", "rank_deviation"):
        assert np.isfinite(getattr(found, name)).all(), name


@pytest.fixture
def written(data_settings, spec, onnx_file: Path, tmp_path: Path):
    """Writes the reference of a folder's pictures."""

    def write(shop: Path, name: str = "a.npz") -> DriftReference:
        catalogue = open_catalogue(data_settings(root=str(shop)))
        rows, runtime = catalogue.gallery_rows(None), OnnxEncoder(onnx_file, threads=1)
        vectors = runtime.embed(np.stack([catalogue.pixels(int(row), spec) for row in rows]))
        write_drift_reference(
            tmp_path / name,
            catalogue=catalogue,
            rows=rows,
            spec=spec,
            runtime=runtime,
            index=FaissIndex.build(vectors, layout="exact"),
            encoder_id="e",
        )
        return read_drift_reference(tmp_path / name)

    return write


def test_it_is_written_the_same_twice_and_read_back(written, folder_catalogue, tmp_path: Path) -> None:
    shop = folder_catalogue(tmp_path / "shop", items=3, images=2)
    found = written(shop)
    written(shop, "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert (int(found.images), str(found.source), str(found.encoder_id)) == (6, "gallery", "e")
    assert set(found.quantiles[SCALARS.index("width")]) == {40}
    # An image's own vector is no result of it, and norms are those before L2.
    assert found.quantiles[SCALARS.index("top_score")].min() < 1 - 1e-5
    assert np.abs(found.quantiles[SCALARS.index("norm")] - 1).min() > 1e-3
    save_reference(tmp_path / "c.npz", found)
    assert (tmp_path / "c.npz").read_bytes() == (tmp_path / "a.npz").read_bytes()


@pytest.mark.parametrize(("form", "orientation"), [("JPEG", 1), ("JPEG", 6), ("PNG", 8), ("TIFF", 5), ("WEBP", 3)])
def test_sizes_are_those_of_upright_pictures(written, tmp_path: Path, form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"tiffinfo": {0x0112: orientation}} if form == "TIFF" else {"exif": exif}
    for item in ("a", "b", "c"):
        (tmp_path / "shop" / item).mkdir(parents=True)
        for number in (1, 2):
            data = encode(smooth_picture(30, 50, seed=number), form, **options)
            (tmp_path / "shop" / item / f"{number}.{form.lower()}").write_bytes(data)
    found = written(tmp_path / "shop")
    expected = (50, 30) if orientation <= 4 else (30, 50)
    sizes = tuple(set(found.quantiles[SCALARS.index(name)]) for name in ("width", "height"))
    assert sizes == ({expected[0]}, {expected[1]})
