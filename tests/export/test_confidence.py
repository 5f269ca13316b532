"""The confidence of a bundle, fitted on validation photos searched in the whole gallery."""

from pathlib import Path

import numpy as np
import pytest

from src.catalog.catalogue import Catalogue, open_catalogue
from src.contracts.preprocessing import PreprocessingSpec
from src.eval.embedded import embed_rows
from src.export.confidence import fit_bundle_confidence

SPEC = PreprocessingSpec(size=16)


def embed(pixels: np.ndarray) -> np.ndarray:
    return pixels[:, ::4, ::4].reshape(len(pixels), -1).astype(np.float32) - 128


def opened(folder: Path, data_settings, folder_catalogue, *, items: int) -> Catalogue:
    root = folder_catalogue(folder / f"{items}", items=items, images=4)
    return open_catalogue(data_settings(root=str(root), val_fraction=0.5, test_fraction=0.2))


def test_validation_photos_are_searched_in_the_whole_gallery(
    tmp_path_factory: pytest.TempPathFactory, data_settings, folder_catalogue
) -> None:
    catalogue = opened(tmp_path_factory.mktemp("confidence"), data_settings, folder_catalogue, items=60)
    gallery = embed_rows(catalogue, catalogue.gallery_rows(None), SPEC, embed, batch=64, what="gallery")
    found = fit_bundle_confidence(catalogue, gallery, SPEC, embed, batch=64)
    assert found is not None
    rows = catalogue.query_rows("val")
    assert (found.queries, found.products) == (len(rows), len(set(catalogue.column("item_id", rows))))
    # By hand: each query's best image of each item, without its own image.
    unit = gallery.vectors / np.linalg.norm(gallery.vectors, axis=1, keepdims=True)
    asked = np.flatnonzero(np.isin(gallery.image_ids, catalogue.column("image_id", catalogue.query_rows("val"))))
    firsts = []
    for row in asked:
        scores = unit @ unit[row]
        scores[row] = -2
        firsts.append(scores.max())
    assert found.least_score == pytest.approx(np.sort(firsts)[::-1][int(np.ceil(0.95 * len(firsts))) - 1], abs=1e-6)


def test_few_photos_fit_nothing(
    tmp_path: Path, data_settings, folder_catalogue, caplog: pytest.LogCaptureFixture
) -> None:
    catalogue = opened(tmp_path, data_settings, folder_catalogue, items=20)
    gallery = embed_rows(catalogue, catalogue.gallery_rows(None), SPEC, embed, batch=64, what="gallery")
    with caplog.at_level("INFO"):
        assert fit_bundle_confidence(catalogue, gallery, SPEC, embed, batch=64) is None
    assert "no confidence: it is fitted on 100 validation queries of 20 products at least" in caplog.text
