"""Boxes: read in each form, refused where they are none, and cut out of the upright picture everywhere."""

import base64
import itertools
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from src.catalog.box_column import read_boxes
from src.catalog.catalogue import Catalogue, open_catalogue
from src.catalog.duplicates.fingerprints import fingerprints
from src.contracts.errors import CatalogueError
from src.contracts.preprocessing import PreprocessingSpec, decode, resize
from src.contracts.settings.csv import CsvSettings
from src.datamodules.pixel_cache import open_pixel_cache
from src.datamodules.pixels import iterate_pixels
from src.eval.report.thumbnails import Thumbnails
from src.export.thumbnails import write_thumbnails
from tests.pictures import encode, smooth_picture

SPEC = PreprocessingSpec(size=16, resize="squash")
NAN, INF = float("nan"), float("inf")


def catalogue_of(data_settings, root: Path, table: pa.Table | str, **changes: object) -> Catalogue:
    if isinstance(table, str):
        (root / "df.csv").write_text(table)
    else:
        pq.write_table(table, root / "df.parquet")
    settings = {
        "reader": "manifest",
        "root": str(root),
        "manifest": "df.csv" if isinstance(table, str) else "df.parquet",
        "columns": {"item_id": "label", "image": "path"},
        "splits": {"validation": "val"},
        "split_by": "given",
        "cache": str(root / "cache"),
    }
    return open_catalogue(data_settings(**settings | changes))


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[10, 20, 30, 40], None]),
        pa.array([[10.0, 20.0, 30.0, 40.0], None], pa.list_(pa.float32(), 4)),
        pa.array([[Decimal(10), Decimal(20), Decimal(30), Decimal(40)], None]),
        pa.array([{"x": 10, "y": 20, "w": 30, "h": 40}, None]),
        pa.array([{"x": 10, "y": 20, "w": 30, "h": 40}, {"x": None, "y": None, "w": None, "h": None}]),
        pa.array(["10,20,30,40", None]),
        pa.array(["10, 20, 30.0, 4e1", ""]),
        pa.array(["[10, 20, 30, 40]", " "]),
        pa.array(["(10 20 30 40)", "[]"]),
        pa.array(["10;20;30;40", None]),
    ],
    ids=lambda column: str(column.type),
)
def test_a_box_is_read_in_each_form(column: pa.Array) -> None:
    boxes, problems = read_boxes(pa.table({"box": column}))
    assert problems == []
    assert boxes is not None
    assert boxes.to_pylist() == [[10.0, 20.0, 30.0, 40.0], None]


@pytest.mark.parametrize("kind", [str, int, float, Decimal])
def test_corners_are_read_in_each_type_and_a_row_without_any_is_all_of_the_picture(kind: type) -> None:
    corners = {"x_1": 10, "y_1": 20, "x_2": 40, "y_2": 60}
    empty = {str: "", float: NAN}.get(kind)
    boxes, problems = read_boxes(pa.table({name: [kind(value), empty] for name, value in corners.items()}))
    assert problems == []
    assert boxes is not None
    assert boxes.to_pylist() == [[10.0, 20.0, 30.0, 40.0], None]


def test_a_box_may_have_decimal_commas() -> None:
    boxes, problems = read_boxes(pa.table({"box": ["1,5;2;3,5;4"]}), decimal=",")
    assert (boxes.to_pylist(), problems) == ([[1.5, 2.0, 3.5, 4.0]], [])


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ([1, 2, 3], "must be four numbers"),
        ([1, 2, 3, 4, 5], "must be four numbers"),
        ([], "must be four numbers"),
        ([1, 2, 3, NAN], "no finite number"),
        ([NAN] * 4, "no finite number"),
        ([1, 2, INF, 4], "no finite number"),
        ([1, 2, None, 4], "no finite number"),
        ([1, 2, 0, 4], "has no area"),
        ([1, 2, 3, -4], "has no area"),
        ([-1, 2, 3, 4], "begins outside of the picture"),
        ("1,2,3", "must be four numbers"),
        ("1,2,3,x", "must be a finite number"),
        ("1,2,3,nan", "must be a finite number"),
        ("1,2,3,1_0", "must be a finite number"),
        ("1,2,3,\u0664", "must be a finite number"),
        ("1,,3,4", "must be four numbers"),
        (True, "must be four numbers"),
        ({"x": 1, "y": 2, "w": 3, "h": None}, "no finite number"),
        ({"x": 1, "y": 2}, "a struct must have the fields x, y, w, h"),
    ],
)
def test_a_box_that_is_none_is_a_bad_row(box: object, words: str) -> None:
    boxes, problems = read_boxes(pa.table({"box": pa.array([box])}))
    assert boxes.to_pylist() == [None]
    assert [row for row, _ in problems] == [0]
    assert words in problems[0][1]


CORNERS = {"x_1": 10, "y_1": 20, "x_2": 40, "y_2": 60}
HALF = [names for size in (1, 2, 3) for names in itertools.combinations(CORNERS, size)]


@pytest.mark.parametrize("missing", [None, NAN])
@pytest.mark.parametrize("names", HALF, ids="-".join)
def test_a_box_of_which_a_part_is_missing_is_a_bad_row(names: tuple[str, ...], missing: float | None) -> None:
    row = {name: missing if name in names else float(value) for name, value in CORNERS.items()}
    _, problems = read_boxes(pa.table({name: pa.array([value], pa.float64()) for name, value in row.items()}))
    assert len(problems) == 1
    assert f"{', '.join(names)} is missing; give all four edges, or none" in problems[0][1]
    text = {name: "" if name in names else str(value) for name, value in CORNERS.items()}
    assert len(read_boxes(pa.table({name: [value] for name, value in text.items()}))[1]) == 1
    with pytest.raises(ValueError, match=r"boxes take the columns x_1, y_1, x_2, y_2; of these there is only"):
        read_boxes(pa.table({name: [1.0] for name in names}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"x_2": 10}, "has no area"),
        ({"y_2": 19}, "has no area"),
        ({"x_1": -1}, "begins outside"),
        ({"y_1": INF}, "no finite"),
    ],
)
def test_corners_that_make_no_box_are_a_bad_row(change: dict, words: str) -> None:
    table = pa.table({name: [float(value)] for name, value in (CORNERS | change).items()})
    assert words in read_boxes(table)[1][0][1]


OML = """label,path,split,is_query,is_gallery,category,x_1,y_1,x_2,y_2
0,a.png,train,,,a,0,0,20,20
0,a.png,train,,,a,20,10,60,40
1,b.png,train,,,a,,,,
2,b.png,validation,True,False,b,5,6,25,36
2,a.png,validation,False,True,b,5,6,25,36
"""
PARTS = [("a", 0, 0, 20, 20), ("a", 20, 10, 60, 40), ("b", 0, 0, 64, 48), ("b", 5, 6, 25, 36), ("a", 5, 6, 25, 36)]


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, np.ndarray]:
    found = {name: smooth_picture(48, 64, seed=seed) for seed, name in enumerate("ab")}
    for name, pixels in found.items():
        (tmp_path / f"{name}.png").write_bytes(encode(pixels, "PNG"))
    return found


def cut(pictures: dict[str, np.ndarray], part: tuple[str, int, int, int, int]) -> np.ndarray:
    name, left, top, right, bottom = part
    return np.ascontiguousarray(pictures[name][top:bottom, left:right])


def test_open_metric_learning_s_boxes_are_cut_out_wherever_pictures_are_read(
    data_settings, tmp_path: Path, pictures: dict[str, np.ndarray]
) -> None:
    catalogue = catalogue_of(data_settings, tmp_path, OML)
    rows, expected = np.arange(5), [resize(cut(pictures, part), SPEC) for part in PARTS]
    assert catalogue.items["image_id"].to_pylist() == [
        "a.png#0,0,20,20",
        "a.png#20,10,40,30",
        "b.png",
        "b.png#5,6,20,30",
        "a.png#5,6,20,30",
    ]
    assert not {"x_1", "y_1", "x_2", "y_2"} & {*catalogue.items.column_names}
    assert (np.concatenate(list(iterate_pixels(catalogue, rows, SPEC, batch=2))) == expected).all()
    assert (open_pixel_cache(catalogue, rows, SPEC, tmp_path / "cache") == expected).all()
    for row, part in enumerate(PARTS):
        assert (catalogue.picture(row) == cut(pictures, part)).all()
    # What people see: the report's pictures, and the bundle's.
    shown = Thumbnails(catalogue, side=32)
    for row, part in enumerate(PARTS):
        jpeg = base64.b64decode(shown[catalogue.items["image_id"][row].as_py()].split(",")[1])
        whole = resize(cut(pictures, part), PreprocessingSpec(size=32, resize="pad"))
        assert np.abs(decode(jpeg).astype(int) - whole).mean() < 4
    write_thumbnails(catalogue, rows, tmp_path / "thumbnails.arrow", side=64)
    jpegs = pa.ipc.open_file(tmp_path / "thumbnails.arrow").read_all()["jpeg"].to_pylist()
    assert [decode(jpeg).shape for jpeg in jpegs] == [cut(pictures, part).shape for part in PARTS]


def test_caches_know_the_boxes(data_settings, tmp_path: Path, pictures: dict[str, np.ndarray]) -> None:
    first = catalogue_of(data_settings, tmp_path, OML)
    open_pixel_cache(first, np.arange(5), SPEC, tmp_path / "cache")
    prints = fingerprints(first, np.arange(5), tmp_path / "cache")
    assert len({tuple(print_["file"]) for print_ in prints}) == 5
    moved = catalogue_of(data_settings, tmp_path, OML.replace("20,10,60,40", "0,10,40,40"))
    pixels = open_pixel_cache(moved, np.arange(5), SPEC, tmp_path / "cache")
    assert (pixels[1] == resize(cut(pictures, ("a", 0, 10, 40, 40)), SPEC)).all()
    again = fingerprints(moved, np.arange(5), tmp_path / "cache")
    assert (again == prints).tolist() == [True, False, True, True, True]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_boxes_are_pixels_of_the_turned_picture(data_settings, tmp_path: Path, kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = smooth_picture(40, 64, seed=3)
    (tmp_path / "a").write_bytes(encode(Image.fromarray(stored), kind, exif=exif))
    upright = decode((tmp_path / "a").read_bytes())
    assert upright.shape == ((64, 40, 3) if orientation > 4 else (40, 64, 3))
    table = pa.table({"label": ["x"], "path": ["a"], "split": ["train"], "box": [[3, 5, 30, 20]]})
    catalogue = catalogue_of(data_settings, tmp_path, table)
    assert (catalogue.picture(0) == upright[5:25, 3:33]).all()


def test_a_large_jpeg_is_decoded_at_a_smaller_scale_and_cut_alike(data_settings, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(encode(smooth_picture(1200, 1600, seed=4), "JPEG", quality=95))
    table = pa.table({"label": ["x"], "path": ["a.jpg"], "split": ["train"], "box": [[400, 200, 800, 800]]})
    catalogue = catalogue_of(data_settings, tmp_path, table)
    reduced = catalogue.pixels(0, PreprocessingSpec(size=32)).astype(int)
    full = catalogue.pixels(0, PreprocessingSpec(size=32, decoding="full")).astype(int)
    assert np.abs(reduced - full).max() <= 4
    assert catalogue.picture(0, spec=PreprocessingSpec(size=32)).shape[0] < 800


@pytest.mark.parametrize(
    ("box", "inside"),
    [
        ([0, 0, 64, 48], True),
        ([0, 0, 65, 49], True),  # edges that count from 1
        ([63, 47, 1, 1], True),
        ([0.4, 0.4, 0.2, 0.2], True),
        ([0, 0, 66, 48], False),
        ([0, 0, 64, 50], False),
        ([64, 0, 1, 1], False),
        ([0, 48, 1, 1], False),
        ([1000, 1000, 10, 10], False),
        ([0, 0, 1e300, 1], False),
    ],
)
def test_a_box_outside_of_its_picture_is_a_bad_row(
    data_settings, tmp_path: Path, pictures: dict[str, np.ndarray], box: list, inside: bool
) -> None:
    boxes = [[0, 0, 5, 5], [float(value) for value in box], None]
    table = pa.table({"label": ["x"] * 3, "path": ["a.png"] * 3, "split": ["train"] * 3, "box": boxes})
    catalogue = catalogue_of(data_settings, tmp_path, table)
    if inside:
        (pixels,) = iterate_pixels(catalogue, np.arange(3), SPEC, batch=3)
        assert pixels.shape == (3, 16, 16, 3)
        return
    readers = [
        lambda: list(iterate_pixels(catalogue, np.arange(3), SPEC, batch=3)),
        lambda: fingerprints(catalogue, np.arange(3), tmp_path / "cache"),
    ]
    for read in readers:
        with pytest.raises(CatalogueError) as caught:
            read()
        assert len(caught.value.problems) == 1
        assert caught.value.problems[0].startswith("row 2: a.png: box ")
        assert "reaches out of the picture of 64 x 48 pixels" in caught.value.problems[0]


def test_bad_boxes_are_listed_with_all_other_bad_rows(
    data_settings, tmp_path: Path, pictures: dict[str, np.ndarray]
) -> None:
    lines = (
        OML.replace("0,0,20,20", "0,0,,20").replace("1,b.png", "1,gone.png").replace("b,5,6,25,36", "b,5,6,5,nan", 1)
    )
    with pytest.raises(CatalogueError) as caught:
        catalogue_of(data_settings, tmp_path, lines)
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["row 1", "row 3", "row 4"]
    with pytest.raises(CatalogueError, match="of these there is only x_1, y_1, x_2"):
        catalogue_of(data_settings, tmp_path, OML.replace(",y_2", ",other"))


def test_boxes_with_decimal_commas_have_ids_of_their_own(
    data_settings, tmp_path: Path, pictures: dict[str, np.ndarray]
) -> None:
    table = "label;path;split;x_1;y_1;x_2;y_2\n1;a.png;train;0,5;0;9;9\n1;a.png;train;1,5;0;9;9\n"
    csv = CsvSettings(delimiter="", encoding="", decimal="comma")
    catalogue = catalogue_of(data_settings, tmp_path, table, csv=csv)
    assert catalogue.items["image_id"].to_pylist() == ["a.png#0.5,0,8.5,9", "a.png#1.5,0,7.5,9"]
