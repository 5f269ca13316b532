"""A reader that a package registers is used like ours."""

from pathlib import Path

import pyarrow as pa
import pytest

from src.catalog import own_readers
from src.catalog.catalogue import open_catalogue
from src.catalog.own_readers import register_reader
from src.contracts.errors import CatalogueError, ConfigError
from src.contracts.settings import complete_data


@pytest.fixture(autouse=True)
def nothing_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_readers, "_REGISTERED", {})


def lines(root: Path) -> pa.Table:
    rows = [line.split() for line in (root / "lines.txt").read_text().splitlines()]
    item, image, split, price = zip(*rows, strict=True)
    return pa.table({"item_id": item, "image": image, "split": split, "price": price})


@pytest.fixture
def root(tmp_path: Path, encoded, picture) -> Path:
    for number in range(4):
        (tmp_path / f"{number}.png").write_bytes(encoded(picture(12, 12, seed=number), "PNG"))
    (tmp_path / "lines.txt").write_text("7 0.png train 1.5\n7 1.png train 2\n007 2.png val 3\n007 3.png val 4")
    return tmp_path


def test_its_table_is_converted_and_divided_as_a_manifest_is(data_settings, root: Path) -> None:
    assert register_reader(lines) is lines
    catalogue = open_catalogue(data_settings(reader="lines", root=str(root), split_by="given"), need_gallery=True)
    assert catalogue.items["image_id"].to_pylist() == ["0.png", "1.png", "2.png", "3.png"]
    assert catalogue.items["price"].to_pylist() == [1.5, 2.0, 3.0, 4.0]
    assert catalogue.train_rows().tolist() == [0, 1]
    # Without domains each image of validation is a query and can be found.
    assert catalogue.query_rows("val").tolist() == catalogue.gallery_rows("val").tolist() == [2, 3]
    assert catalogue.items["item_id"].to_pylist()[2] == "007"


def test_its_rows_are_audited(data_settings, root: Path) -> None:
    register_reader(lines)
    (root / "3.png").unlink()
    with pytest.raises(CatalogueError, match=r"row 4: .*3\.png"):
        open_catalogue(data_settings(reader="lines", root=str(root), split_by="given"))


def test_a_table_without_items_or_images_is_refused(data_settings, root: Path) -> None:
    def nothing(root: Path) -> pa.Table:
        return pa.table({"image": ["0.png"]})

    register_reader(nothing)
    with pytest.raises(ConfigError, match=r"`data\.reader=nothing`: its table has no column item_id; it has image"):
        open_catalogue(data_settings(reader="nothing", root=str(root)))


def test_a_name_that_nobody_registered_is_refused(data_settings, root: Path) -> None:
    wrong = data_settings(reader="line", root=str(root))
    with pytest.raises(ConfigError, match=r"`data\.reader=line`: must be one of folder, hf, manifest"):
        complete_data(wrong, None)
    # What a trusted package will register is not known when settings are checked.
    assert complete_data(wrong, None, trust=["mine"]) == wrong
    register_reader(lines)
    with pytest.raises(ConfigError, match=r"one of folder, .*, lines; if a package of yours .* `trust=\[PACKAGE\]`"):
        open_catalogue(wrong)


def test_ours_cannot_be_replaced() -> None:
    def folder(root: Path) -> pa.Table:
        return pa.table({})

    with pytest.raises(ValueError, match="folder is a reader of Lookalike; choose another name"):
        register_reader(folder)
