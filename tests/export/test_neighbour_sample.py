"""The gallery images that a bundle stores to judge a lower precision by."""

from pathlib import Path

import numpy as np
import pytest

from src.catalog.catalogue import Catalogue, open_catalogue
from src.contracts.preprocessing import PreprocessingSpec
from src.datamodules.pixels import iterate_pixels
from src.export.neighbour_sample import sample_neighbours
from src.export.runtime.neighbours import Neighbours, write_neighbours

MIB = 2**20


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory, data_settings, folder_catalogue) -> Catalogue:
    root = folder_catalogue(tmp_path_factory.mktemp("sample") / "shop", items=80, images=2)
    return open_catalogue(data_settings(root=str(root)))


def embeddings(images: int, *, dim: int = 16, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((images, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def stored_rows(neighbours: Neighbours, vectors: np.ndarray) -> list[int]:
    return [int(np.flatnonzero((vectors == row).all(axis=1))[0]) for row in neighbours.gallery]


def test_each_query_has_its_nearest_of_the_rest_and_their_cosines(catalogue: Catalogue) -> None:
    rows, spec = catalogue.gallery_rows(None), PreprocessingSpec(size=24)
    vectors = embeddings(len(rows))
    found = sample_neighbours(catalogue, rows, spec, vectors, reference=None)
    assert found is not None
    assert found.queries.shape == (24, 24, 24, 3)
    pixels = np.concatenate(list(iterate_pixels(catalogue, rows, spec, batch=64)))
    asking = [int(np.flatnonzero((pixels == query).all(axis=(1, 2, 3)))[0]) for query in found.queries]
    stored = stored_rows(found, vectors)
    assert stored == sorted(set(stored))
    assert not set(stored) & set(asking)
    np.testing.assert_allclose(found.cosines, vectors[asking] @ vectors[stored].T, atol=1e-6)
    for row in asking:
        others = [other for other in range(len(rows)) if other not in asking]
        nearest = sorted(others, key=lambda other, row=row: -float(vectors[row] @ vectors[other]))
        assert set(nearest[:24]) <= set(stored)


def test_the_reference_tells_the_cosines_where_the_index_is_coarser(catalogue: Catalogue) -> None:
    rows, spec = catalogue.gallery_rows(None), PreprocessingSpec(size=24)
    coarse = embeddings(len(rows))

    def reference(pixels: np.ndarray) -> np.ndarray:
        return 2 * pixels[:, :4, :4, 0].reshape(len(pixels), -1).astype(np.float32)

    found = sample_neighbours(catalogue, rows, spec, coarse, reference=reference)
    assert found is not None
    stored = stored_rows(found, coarse)
    pixels = np.concatenate(list(iterate_pixels(catalogue, rows[stored], spec, batch=64)))
    queries, gallery = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in
                        (reference(found.queries), reference(pixels)))  # fmt: skip
    np.testing.assert_allclose(found.cosines, queries @ gallery.T, atol=1e-6)


def test_a_small_gallery_has_fewer_queries_and_a_tiny_one_none(catalogue: Catalogue) -> None:
    rows, spec = catalogue.gallery_rows(None), PreprocessingSpec(size=24)
    small = sample_neighbours(catalogue, rows[:20], spec, embeddings(20), reference=None)
    assert small is not None
    assert small.cosines.shape == (4, 16)
    assert sample_neighbours(catalogue, rows[:19], spec, embeddings(19), reference=None) is None


@pytest.mark.parametrize(
    ("size", "dim", "queries", "most"), [(224, 768, 24, 5.3), (512, 2048, 8, 8), (384, 2048, 9, 8)]
)
def test_the_file_stays_small(
    catalogue: Catalogue, tmp_path: Path, size: int, dim: int, queries: int, most: float
) -> None:
    rows = catalogue.gallery_rows(None)
    spec = PreprocessingSpec(size=size)
    found = sample_neighbours(catalogue, rows, spec, embeddings(len(rows), dim=dim), reference=None)
    assert found is not None
    assert len(found.queries) == queries
    # The gallery has fewer images than could be stored: 24 of each query, all different.
    largest = Neighbours(
        found.queries, np.zeros((24 * queries, dim), np.float32), np.zeros((queries, 24 * queries), np.float32)
    )
    write_neighbours(tmp_path / "neighbours.npz", largest)
    assert (tmp_path / "neighbours.npz").stat().st_size <= most * MIB
