"""Images as paths, as bytes and as Hugging Face's structs."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from src.catalog.catalogue import Catalogue, open_catalogue
from src.contracts.errors import CatalogueError
from src.contracts.preprocessing import PreprocessingSpec
from src.datamodules.pixels import iterate_pixels
from tests.pictures import encode, smooth_picture

FILES = [encode(smooth_picture(16, 16, seed=seed), kind) for seed, kind in enumerate(("JPEG", "PNG", "GIF", "BMP"))]
HF = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def opened(data_settings, tmp_path: Path, image: pa.Array, **columns: list) -> Catalogue:
    for number, data in enumerate(FILES):
        (tmp_path / f"{number}.jpg").write_bytes(data)
    pq.write_table(pa.table({"item_id": [7] * len(image), "image": image, **columns}), tmp_path / "list.parquet")
    settings = {
        "reader": "manifest",
        "root": str(tmp_path),
        "manifest": "list.parquet",
        "cache": str(tmp_path / "cache"),
    }
    return open_catalogue(data_settings(**settings))


PATHS = [f"{number}.jpg" for number in range(4)]
IN_BYTES = {
    "binary": pa.array(FILES),
    "large binary": pa.array(FILES, pa.large_binary()),
    "binary view": pa.array(FILES, pa.binary_view()),
    "struct": pa.array([{"bytes": data, "path": path} for data, path in zip(FILES, PATHS, strict=True)], HF),
    "struct of bytes": pa.array([{"bytes": data} for data in FILES]),
    "struct without paths": pa.array([{"bytes": data, "path": None} for data in FILES], HF),
    "struct of one name": pa.array([{"bytes": data, "path": "image.jpg"} for data in FILES], HF),
    "struct of views": pa.array(
        [{"bytes": data, "path": None} for data in FILES],
        pa.struct([("bytes", pa.binary_view()), ("path", pa.string_view())]),
    ),
}
BY_PATH = {
    "string": pa.array(PATHS),
    "large string": pa.array(PATHS, pa.large_string()),
    "string view": pa.array(PATHS, pa.string_view()),
    "coded": pa.array(PATHS).dictionary_encode(),
    "binary": pa.array([path.encode() for path in PATHS]),
    "fixed binary": pa.array([path.encode() for path in PATHS], pa.binary(5)),
    "struct": pa.array([{"bytes": None, "path": path} for path in PATHS], HF),
    "empty bytes": pa.array([{"bytes": b"", "path": path} for path in PATHS], HF),
    "struct of null": pa.array([{"bytes": None, "path": path} for path in PATHS]),
    "struct of paths": pa.array([{"path": path} for path in PATHS]),
}


@pytest.mark.parametrize("form", IN_BYTES)
def test_images_in_the_table_are_read(data_settings, tmp_path: Path, form: str) -> None:
    catalogue = opened(data_settings, tmp_path, IN_BYTES[form])
    assert [catalogue.image_bytes(row) for row in range(4)] == FILES
    assert len(set(catalogue.items["image_id"].to_pylist())) == 4
    assert catalogue.items["item_id"].to_pylist() == ["7"] * 4
    if form == "struct":
        assert catalogue.items["image_id"].to_pylist() == PATHS
    (pixels,) = iterate_pixels(catalogue, np.arange(4), PreprocessingSpec(size=8), batch=4)
    assert pixels.shape == (4, 8, 8, 3)
    # Opened again: the same ids, and no file is written twice.
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache" / "images").iterdir()}
    assert len(written) == 4
    assert opened(data_settings, tmp_path, IN_BYTES[form]).items.equals(catalogue.items)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache" / "images").iterdir()} == written


@pytest.mark.parametrize("form", BY_PATH)
def test_paths_are_read_in_each_form(data_settings, tmp_path: Path, form: str) -> None:
    catalogue = opened(data_settings, tmp_path, BY_PATH[form])
    assert [catalogue.image_bytes(row) for row in range(4)] == FILES
    assert catalogue.items["image_id"].to_pylist() == catalogue.items["image"].to_pylist() == PATHS
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    "image", [pa.array([None, {"bytes": None, "path": None}], HF), pa.array([None, b""]), pa.nulls(2)]
)
def test_a_row_without_an_image_is_named(data_settings, tmp_path: Path, image: pa.Array) -> None:
    with pytest.raises(CatalogueError) as caught:
        opened(data_settings, tmp_path, image)
    assert caught.value.problems == ["row 1: no image", "row 2: no image"]


def test_one_image_twice_is_a_duplicate(data_settings, tmp_path: Path) -> None:
    twice = pa.array([{"bytes": FILES[0], "path": "a"}] * 2, HF)
    with pytest.raises(CatalogueError, match=r"row 2: duplicate image_id 'a#[0-9a-f]{32}', first in row 1"):
        opened(data_settings, tmp_path, twice)
    assert len(opened(data_settings, tmp_path, twice, image_id=[1, 2]).items) == 2


@pytest.mark.parametrize(
    "image",
    [pa.array([["a.jpg"]]), pa.array([[b"\xff"]]), pa.array([{"url": "a"}]), pa.array([1.5]), pa.array([True])],
    ids=lambda array: str(array.type),
)
def test_what_is_no_image_is_refused_by_its_type(data_settings, tmp_path: Path, image: pa.Array) -> None:
    with pytest.raises(CatalogueError, match=r"column 'image' holds .*; it must hold paths or URIs, images as bytes"):
        opened(data_settings, tmp_path, image)
