"""The pictures of a bundle."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from src.catalog.catalogue import open_catalogue
from src.export.thumbnails import write_thumbnails


def test_row_i_of_the_file_is_the_image_of_row_i(data_settings, folder_catalogue, tmp_path: Path, encoded) -> None:
    root = folder_catalogue(tmp_path / "shop", items=100, images=3, side=20)
    # A wide one, a small one and one with transparency.
    (root / "item-000" / "0.png").write_bytes(encoded(np.full((50, 200, 3), 90, np.uint8), "PNG"))
    (root / "item-001" / "0.png").write_bytes(encoded(np.full((8, 4, 4), 0, np.uint8), "PNG"))
    catalogue = open_catalogue(data_settings(root=str(root)))
    rows = np.random.default_rng(0).permutation(300)
    write_thumbnails(catalogue, rows, tmp_path / "t.arrow", side=100)
    with pa.memory_map(str(tmp_path / "t.arrow")) as source:
        table = pa.ipc.open_file(source).read_all()
        assert table.column_names == ["image_id", "jpeg"]
        assert table["image_id"].to_pylist() == catalogue.column("image_id", rows).tolist()
        for place, row in enumerate(rows):
            thumbnail = Image.open(io.BytesIO(table["jpeg"][place].as_py()))
            with Image.open(catalogue.root / catalogue.items["image"][int(row)].as_py()) as original:
                pixels = np.asarray(thumbnail).astype(int)
                assert thumbnail.format == "JPEG"
                assert max(thumbnail.size) <= 100
                if original.mode == "RGBA":
                    assert thumbnail.size == (4, 8)
                    assert pixels.min() >= 250
                elif original.size == (200, 50):
                    assert thumbnail.size == (100, 25)
                    assert abs(pixels - 90).max() <= 2
                else:
                    assert thumbnail.size == original.size
                    # A JPEG of another image would be far off.
                    assert np.abs(pixels - np.asarray(original)).mean() < 25


def test_no_rows_are_a_file_without_rows(data_settings, folder_catalogue, tmp_path: Path) -> None:
    catalogue = open_catalogue(data_settings(root=str(folder_catalogue(tmp_path / "shop", items=1, images=1))))
    write_thumbnails(catalogue, np.empty(0, np.int64), tmp_path / "t.arrow", side=64)
    with pa.memory_map(str(tmp_path / "t.arrow")) as source:
        assert pa.ipc.open_file(source).read_all().num_rows == 0
