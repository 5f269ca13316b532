import numpy as np
import pytest

from src.catalog.catalogue import open_catalogue
from src.contracts.preprocessing import PreprocessingSpec
from src.eval.embedded import embed_rows
from src.eval.image_quality import QUALITIES, image_quality
from src.models.color_histogram import color_histogram


def slow_quality(image: np.ndarray) -> list[float]:
    """By the definitions, pixel by pixel; the Laplacian's border is OpenCV's: mirrored without the edge pixel."""
    luma = image.astype(np.float64) @ [0.299, 0.587, 0.114]
    padded = np.pad(luma, 1, mode="reflect")
    laplacian = np.empty_like(luma)
    for y in range(len(luma)):
        for x in range(len(luma)):
            around = padded[y, x + 1] + padded[y + 2, x + 1] + padded[y + 1, x] + padded[y + 1, x + 2]
            laplacian[y, x] = around - 4 * luma[y, x]
    return [luma.mean(), luma.std(), np.log1p(laplacian.var())]


def test_equals_its_definitions(picture) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    flat = np.full((12, 12, 3), 77, np.uint8)
    images = np.stack([noise, flat, picture(12, 12, seed=1), np.zeros_like(flat), np.full_like(flat, 255)])
    assert image_quality(images) == pytest.approx(np.array([slow_quality(image) for image in images]), abs=2e-3)


def test_a_blurred_picture_is_less_sharp(picture) -> None:
    rng = np.random.default_rng(1)
    sharp = rng.integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    blurred = np.mean([np.roll(sharp, shift, axis=2) for shift in range(-2, 3)], axis=0).astype(np.uint8)
    assert image_quality(blurred)[0, 2] < image_quality(sharp)[0, 2] - 1


def test_stands_beside_the_catalogue_s_columns(folder_catalogue, data_settings, tmp_path) -> None:
    catalogue = open_catalogue(data_settings(root=str(folder_catalogue(tmp_path / "shop", items=4, images=2))))
    rows = np.arange(8)
    spec = PreprocessingSpec(size=16)
    embedded = embed_rows(catalogue, rows, spec, color_histogram, batch=3, what="all")
    assert set(QUALITIES) <= {*embedded.attributes.column_names}
    for name in QUALITIES:
        assert np.isfinite(embedded.attributes[name].to_numpy()).all()
