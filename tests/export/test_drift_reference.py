"""The drift reference against slow formulas, on ordinary and on ugly embeddings."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from src.catalog.catalogue import open_catalogue
from src.export.drift_reference import drift_reference, read_drift_reference, write_drift_reference
from tests.pictures import encode, smooth_picture


def unit(count: int, dim: int = 6) -> np.ndarray:
    vectors = np.random.default_rng(0).standard_normal((count, dim)) + 1
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def made(vectors: np.ndarray) -> dict[str, np.ndarray]:
    pixels = np.stack([np.full((4, 4, 3), level, np.uint8) for level in (0, 100, 255)])
    return drift_reference(vectors, pixels, np.array([[10, 20], [30, 40], [50, 60]]), np.array([1, 2, 3]))


def test_moments_and_projections_are_those_of_numpy() -> None:
    vectors = unit(200)
    found = made(vectors)
    np.testing.assert_allclose(found["mean"], vectors.mean(axis=0), atol=1e-6)
    spectrum = np.sort(np.linalg.svd(vectors - vectors.mean(axis=0), compute_uv=False) ** 2 / 200)[::-1]
    np.testing.assert_allclose(found["spectrum"], spectrum, atol=1e-6)
    np.testing.assert_allclose(found["components"] @ found["components"].T, np.eye(6), atol=1e-5)
    variances = ((vectors - found["mean"]) @ found["components"].T).var(axis=0)
    np.testing.assert_allclose(variances, spectrum, atol=1e-6)
    assert (found["components"][np.arange(6), np.abs(found["components"]).argmax(axis=1)] > 0).all()
    along = (vectors - found["mean"]) @ found["components"][0]
    np.testing.assert_allclose(found["projections"][0], np.quantile(along, np.linspace(0, 1, 101)), atol=1e-5)
    assert found["cosine_counts"].sum() == found["vectors"] == 200
    assert found["brightness_counts"].sum() == found["contrast_counts"].sum() == 3
    assert found["contrast_counts"][0] == 3
    assert (found["width"][0], found["height"][-1], found["file_bytes"][50]) == (10, 60, 2)


@pytest.mark.parametrize("vectors", [unit(1), np.tile(unit(1), (5, 1)), np.concatenate([unit(2), -unit(2)])])
def test_one_row_equal_rows_and_rows_without_a_mean_are_finite(vectors: np.ndarray) -> None:
    for name, values in made(vectors).items():
        assert np.isfinite(values).all(), name


def test_it_is_written_the_same_twice_and_read_back(data_settings, folder_catalogue, spec, tmp_path: Path) -> None:
    catalogue = open_catalogue(data_settings(root=str(folder_catalogue(tmp_path / "shop", items=3, images=2))))
    rows = catalogue.gallery_rows(None)
    for name in ("a.npz", "b.npz"):
        write_drift_reference(tmp_path / name, catalogue, rows, spec, unit(6))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    found = read_drift_reference(tmp_path / "a.npz")
    assert found["vectors"] == 6
    assert set(found["width"]) == {40}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_sizes_are_those_of_upright_pictures(data_settings, spec, tmp_path: Path, form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"tiffinfo": {0x0112: orientation}} if form == "TIFF" else {"exif": exif}
    for item in ("a", "b", "c"):
        (tmp_path / "shop" / item).mkdir(parents=True)
        for number in (1, 2):
            data = encode(smooth_picture(30, 50, seed=number), form, **options)
            (tmp_path / "shop" / item / f"{number}.{form.lower()}").write_bytes(data)
    catalogue = open_catalogue(data_settings(root=str(tmp_path / "shop")))
    write_drift_reference(tmp_path / "a.npz", catalogue, catalogue.gallery_rows(None), spec, unit(6))
    found = read_drift_reference(tmp_path / "a.npz")
    expected = (50, 30) if orientation <= 4 else (30, 50)
    assert (set(found["width"]), set(found["height"])) == ({expected[0]}, {expected[1]})
