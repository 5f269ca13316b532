"""Hugging Face data sets in each layout, as `datasets` writes them (its files' formats are written here by hand)."""

import json
import sys
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from src.catalog.catalogue import Catalogue, open_catalogue
from src.contracts.errors import CatalogueError, ConfigError
from tests.pictures import encode, smooth_picture

FILES = [encode(smooth_picture(16, 16, seed=seed), "JPEG") for seed in range(4)]
FEATURES = {
    "img": {"_type": "Image"},
    "label": {"names": ["shoe", "hat"], "_type": "ClassLabel"},
    "price": {"dtype": "float64", "_type": "Value"},
    "mask": {"_type": "Image"},
}
STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def rows(numbers: list[int], **features: dict) -> pa.Table:
    """What the package stores of a few images, with its features in the schema."""
    images = [{"bytes": FILES[number], "path": "image.jpg"} for number in numbers]
    table = pa.table(
        {
            "img": pa.array(images, STRUCT),
            "label": pa.array([number % 2 for number in numbers], pa.int64()),
            "price": pa.array([float(number) for number in numbers]),
            "mask": pa.array(images, STRUCT),
        }
    )
    info = {"info": {"features": FEATURES | features}}
    return table.replace_schema_metadata({"huggingface": json.dumps(info)})


def save_set(folder: Path, table: pa.Table, **state: object) -> None:
    """A folder as `Dataset.save_to_disk` writes it, with a file of each row."""
    folder.mkdir(parents=True)
    names = [f"data-{number:05d}-of-{len(table):05d}.arrow" for number in range(len(table))]
    for number, name in enumerate(names):
        with pa.ipc.new_stream(str(folder / name), table.schema) as stream:
            stream.write_table(table.slice(number, 1))
    state = {"_data_files": [{"filename": name} for name in names], "_split": None} | state
    (folder / "state.json").write_text(json.dumps(state))
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    (folder / "dataset_info.json").write_text(json.dumps({"features": features}))


def save_dict(folder: Path) -> None:
    save_set(folder / "train", rows([0, 1]), _split="train")
    save_set(folder / "validation", rows([2, 3]), _split="validation")
    (folder / "dataset_dict.json").write_text('{"splits": ["train", "validation"]}')


def save_parquet(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows([0]), folder / "train-00000-of-00002.parquet")
    pq.write_table(rows([1]), folder / "train-00001-of-00002.parquet")
    pq.write_table(rows([2, 3]), folder / "validation-00000-of-00001-abc0123456789def.parquet")


def save_converted(folder: Path) -> None:
    for split, numbers in (("train", [0, 1]), ("val", [2, 3])):
        (folder / split).mkdir(parents=True)
        pq.write_table(rows(numbers), folder / split / "0000.parquet")


LAYOUTS = {
    "dict": (save_dict, "."),
    "parquet": (save_parquet, "."),
    "in data": (save_parquet, "data"),
    "converted": (save_converted, "default"),
}


def opened(data_settings, root: Path | str, cache: Path, **settings: object) -> Catalogue:
    splits = {"validation": "val"} | settings.pop("splits", {})
    settings = {"split_by": "given", "manifest": "", **settings}
    return open_catalogue(data_settings(reader="hf", root=str(root), cache=str(cache), splits=splits, **settings))


def check(catalogue: Catalogue) -> None:
    assert [catalogue.image_bytes(row) for row in range(4)] == FILES
    table = catalogue.items
    assert table["item_id"].to_pylist() == ["shoe", "hat", "shoe", "hat"]
    assert table["split"].to_pylist() == ["train", "train", "val", "val"]
    assert table["image_id"].to_pylist() == ["train/0", "train/1", "validation/0", "validation/1"]
    assert table["price"].to_pylist() == [0, 1, 2, 3]
    assert "mask" not in table.column_names


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_is_read(data_settings, tmp_path: Path, layout: str) -> None:
    save, below = LAYOUTS[layout]
    save(tmp_path / "set" / below)
    check(opened(data_settings, tmp_path / "set", tmp_path / "cache", columns={"image": "img"}))


def test_a_saved_set_without_splits_is_divided(data_settings, tmp_path: Path) -> None:
    save_set(tmp_path / "set", rows([0, 1, 2, 3]))
    settings = {"split_by": "product", "columns": {"image": "img"}}
    table = opened(data_settings, tmp_path / "set", tmp_path / "cache", **settings).items
    assert table["image_id"].to_pylist() == ["row/0", "row/1", "row/2", "row/3"]


def test_one_column_of_images_and_one_of_classes_are_found(data_settings, tmp_path: Path) -> None:
    value = {"_type": "Value", "dtype": "binary"}
    (tmp_path / "set").mkdir()
    pq.write_table(rows([0, 1], mask=value).drop_columns("mask"), tmp_path / "set" / "train.parquet")
    table = opened(data_settings, tmp_path / "set", tmp_path / "cache").items
    assert table["item_id"].to_pylist() == ["shoe", "hat"]
    save_parquet(tmp_path / "two")
    with pytest.raises(CatalogueError, match=r"several columns are Image: img, mask; choose .*`data\.columns\.image="):
        opened(data_settings, tmp_path / "two", tmp_path / "cache")


def test_a_split_that_is_none_is_not_read(data_settings, tmp_path: Path) -> None:
    save_dict(tmp_path / "set")
    unlabelled = rows([2, 3]).set_column(1, "label", pa.array([-1, -1], pa.int64()))
    save_set(tmp_path / "set" / "test", unlabelled)
    (tmp_path / "set" / "dataset_dict.json").write_text('{"splits": ["train", "validation", "test"]}')
    columns = {"image": "img"}
    with pytest.raises(CatalogueError) as caught:
        opened(data_settings, tmp_path / "set", tmp_path / "cache", columns=columns)
    assert caught.value.problems == [f"row {row}: no label (item_id is empty)" for row in (5, 6)]
    splits = {"test": "none"}
    check(opened(data_settings, tmp_path / "set", tmp_path / "cache", columns=columns, splits=splits))


def test_the_same_image_in_two_splits_has_two_ids(data_settings, tmp_path: Path) -> None:
    save_set(tmp_path / "set" / "train", rows([0]))
    save_set(tmp_path / "set" / "validation", rows([0]))
    (tmp_path / "set" / "dataset_dict.json").write_text('{"splits": ["train", "validation"]}')
    catalogue = opened(data_settings, tmp_path / "set", tmp_path / "cache", columns={"image": "img"})
    assert catalogue.image_bytes(0) == catalogue.image_bytes(1)
    assert len(list((tmp_path / "cache" / "images").iterdir())) == 1


def test_a_class_without_a_name_is_refused(data_settings, tmp_path: Path) -> None:
    save_set(tmp_path / "set", rows([0, 1], label={"names": ["shoe"], "_type": "ClassLabel"}))
    with pytest.raises(CatalogueError, match="column 'label' has class 1, but there are 1 names"):
        opened(data_settings, tmp_path / "set", tmp_path / "cache", columns={"image": "img"})


def _cut(folder: Path, drop: int) -> None:
    path = folder / "train" / "data-00001-of-00002.arrow"
    path.write_bytes(path.read_bytes()[:-drop])


def _state(folder: Path, **state: object) -> None:
    path = folder / "train" / "state.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | state))


DAMAGED = {
    "cut at the end": (lambda folder: _cut(folder, 8), "data-00001-of-00002.arrow: is cut off"),
    "cut within": (lambda folder: _cut(folder, 500), "data-00001-of-00002.arrow: is cut off"),
    "missing": (lambda folder: (folder / "train" / "data-00000-of-00002.arrow").unlink(), "00000-of-00002.*not there"),
    "escaping": (
        lambda folder: _state(folder, _data_files=[{"filename": "../x"}]),
        r"names '\.\./x', which is no name",
    ),
    "indices": (lambda folder: _state(folder, _indices_data_files=[{"filename": "i"}]), "file of indices"),
    "no state": (lambda folder: (folder / "train" / "state.json").write_text("{"), "cannot be read"),
    "no splits": (lambda folder: (folder / "dataset_dict.json").write_text("{}"), "names no splits"),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_saved_set_is_refused(data_settings, tmp_path: Path, damage: str) -> None:
    save_dict(tmp_path / "set")
    do, message = DAMAGED[damage]
    do(tmp_path / "set")
    with pytest.raises(CatalogueError, match=message):
        opened(data_settings, tmp_path / "set", tmp_path / "cache", columns={"image": "img"})


def test_missing_shards_pointers_and_several_configurations_are_refused(data_settings, tmp_path: Path) -> None:
    save_parquet(tmp_path / "set" / "big")
    (tmp_path / "set" / "big" / "train-00001-of-00002.parquet").unlink()
    (tmp_path / "set" / "big" / "validation-00000-of-00001-abc0123456789def.parquet").write_text("version https://git")
    with pytest.raises(CatalogueError) as caught:
        opened(data_settings, tmp_path / "set", tmp_path / "cache")
    missing, pointer = caught.value.problems
    assert missing == "big/train-00001-of-00002.parquet is missing; fetch it"
    assert "Git LFS leaves a pointer" in pointer
    save_parquet(tmp_path / "set" / "small")
    with pytest.raises(CatalogueError, match=r"several configurations \(big, small\).*`data\.manifest=small`"):
        opened(data_settings, tmp_path / "set", tmp_path / "cache")
    check(opened(data_settings, tmp_path / "set", tmp_path / "cache", manifest="small", columns={"image": "img"}))


METADATA = {
    "csv": ("metadata.csv", "file_name,sku,split\na/0.jpg,007,train\nb 1.jpg,008,val\n"),
    "jsonl": (
        "metadata.jsonl",
        '{"file_name": "a/0.jpg", "sku": "007", "split": "train"}\n'
        '{"file_name": "b 1.jpg", "sku": "008", "split": "val"}\n',
    ),
}


@pytest.mark.parametrize("kind", METADATA)
def test_an_image_folder_with_metadata_is_read(data_settings, tmp_path: Path, kind: str) -> None:
    name, text = METADATA[kind]
    (tmp_path / "a").mkdir()
    (tmp_path / name).write_text(text)
    (tmp_path / "a" / "0.jpg").write_bytes(FILES[0])
    (tmp_path / "b 1.jpg").write_bytes(FILES[1])
    catalogue = opened(data_settings, tmp_path, tmp_path / "cache", columns={"item_id": "sku"})
    assert [catalogue.image_bytes(row) for row in range(2)] == FILES[:2]
    assert catalogue.items["item_id"].to_pylist() == ["007", "008"]
    assert catalogue.items["split"].to_pylist() == ["train", "val"]
    (tmp_path / name).write_text(text.replace("a/0.jpg", "../0.jpg"))
    with pytest.raises(CatalogueError, match=r"row 1: file_name='\.\./0\.jpg' must be a path below"):
        opened(data_settings, tmp_path, tmp_path / "cache", columns={"item_id": "sku"})


def test_an_image_folder_by_split_and_label_is_read(data_settings, tmp_path: Path) -> None:
    for number, path in enumerate(["train/007/0.jpg", "valid/008/1.jpg"]):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_bytes(FILES[number])
    table = opened(data_settings, tmp_path, tmp_path / "cache").items
    assert table["item_id"].to_pylist() == ["007", "008"]
    assert table["split"].to_pylist() == ["train", "val"]


def test_another_folder_is_refused(data_settings, tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"no Hugging Face data set; expected a folder of `save_to_disk`"):
        opened(data_settings, tmp_path, tmp_path / "cache")
    with pytest.raises(CatalogueError, match=r"no such folder; set `data\.root`"):
        opened(data_settings, tmp_path / "absent", tmp_path / "cache")


class _Loaded:
    """What `datasets.Dataset` offers of the few things that the reader uses."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self.features = self

    def to_dict(self) -> dict:
        return FEATURES

    def with_format(self, name: str) -> "_Loaded":
        assert name == "arrow"
        return self

    def iter(self, batch_size: int):
        yield from (self._table.slice(start, 1) for start in range(len(self._table)))


def test_a_name_is_loaded_by_the_package_datasets(data_settings, tmp_path: Path, monkeypatch) -> None:
    package, asked = ModuleType("datasets"), []

    def load_dataset(name: str, configuration: str | None):
        asked.append((name, configuration))
        if name == "shop/absent":
            raise FileNotFoundError("Dataset 'shop/absent' doesn't exist")
        return {"train": _Loaded(rows([0, 1])), "validation": _Loaded(rows([2, 3]))}

    package.load_dataset = load_dataset
    monkeypatch.setitem(sys.modules, "datasets", package)
    check(opened(data_settings, "shop/shoes", tmp_path, columns={"image": "img"}))
    with pytest.raises(CatalogueError, match=r"cannot load it from the hub: Dataset 'shop/absent' doesn't exist"):
        opened(data_settings, "shop/absent", tmp_path, manifest="small")
    assert asked == [("shop/shoes", None), ("shop/absent", "small")]
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ConfigError, match=r"`data\.root=shop/shoes`: no such folder; .*pip install datasets"):
        opened(data_settings, "shop/shoes", tmp_path)
