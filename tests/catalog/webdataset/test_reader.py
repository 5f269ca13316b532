"""Tar shards: their samples are listed, their images read at their place."""

import doctest
import gzip
import io
import json
import os
import re
import tarfile
from pathlib import Path

import fsspec
import numpy as np
import pytest

from src.catalog import shard_address
from src.catalog.catalogue import Catalogue, open_catalogue
from src.catalog.duplicates.fingerprints import fingerprints
from src.catalog.webdataset import patterns
from src.catalog.webdataset.patterns import expand_braces
from src.contracts.errors import CatalogueError
from src.contracts.image_errors import ImageError
from src.contracts.preprocessing import PreprocessingSpec
from src.datamodules.pixel_cache import open_pixel_cache
from tests.pictures import encode, smooth_picture

FILES = [encode(smooth_picture(16, 16, seed=seed), "JPEG") for seed in range(6)]


def tar(*members: tuple[str, bytes], kind: int = tarfile.USTAR_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=kind) as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def sample(number: int, **fields: object) -> list[tuple[str, bytes]]:
    content = json.dumps({"item_id": f"00{number}", **fields}).encode()
    return [(f"{number:04d}.jpg", FILES[number]), (f"{number:04d}.json", content)]


def opened(data_settings, root: Path, manifest: str = "*.tar", **settings: object) -> Catalogue:
    settings = {"split_by": "product", "splits": {"validation": "val"}, "cache": str(root / "cache"), **settings}
    return open_catalogue(data_settings(reader="webdataset", root=str(root), manifest=manifest, **settings))


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_samples_are_listed_and_their_images_read(data_settings, tmp_path: Path, kind: int) -> None:
    folder = f"{'d' * 120}/" if kind != tarfile.USTAR_FORMAT else "photos/"
    (tmp_path / "train-00.tar").write_bytes(
        tar(*sample(0, price=1.5, box=[0, 0, 8, 8]), *sample(1, brand="Café", more={"a": 1}), kind=kind)
    )
    (tmp_path / "val-00.tar").write_bytes(
        tar(
            ("README", b"no key"),
            ("._0002.jpg", b"of macOS"),
            (f"{folder}0002.PNG", FILES[2]),
            (f"{folder}0002.json", b'{"item_id": 2, "price": 3}'),
            (f"{folder}0002.txt", b" a hat\n"),
            (f"{folder}0002.pyd", b"a pickle, which is not read"),
            kind=kind,
        )
    )
    catalogue = opened(data_settings, tmp_path, split_by="given")
    assert [catalogue.image_bytes(row) for row in range(3)] == FILES[:3]
    assert catalogue.picture(0).shape == (8, 8, 3)
    table = catalogue.items
    assert table["image_id"].to_pylist() == [
        "train-00.tar#0000", "train-00.tar#0001", f"val-00.tar#{folder}0002"
    ]  # fmt: skip
    assert table["item_id"].to_pylist() == ["000", "001", "2"]
    assert table["split"].to_pylist() == ["train", "train", "val"]
    assert table["price"].to_pylist() == [1.5, None, 3]
    assert table["brand"].to_pylist() == [None, "Café", None]
    assert table["more"].to_pylist() == [None, '{"a": 1}', None]
    assert table["txt"].to_pylist() == [None, None, "a hat"]
    assert not {"pyd", "jpg", "png"} & {*table.column_names}


def test_cls_is_the_item_where_there_is_no_other(data_settings, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(tar(("0.jpg", FILES[0]), ("0.cls", b"7"), ("1.jpg", FILES[1]), ("1.cls", b"7\n")))
    catalogue = opened(data_settings, tmp_path)
    assert catalogue.items["item_id"].to_pylist() == ["7", "7"]


def test_the_image_of_several_is_named(data_settings, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(tar(("0.left.jpg", FILES[0]), ("0.right.jpg", FILES[1]), ("0.cls", b"7")))
    with pytest.raises(CatalogueError) as caught:
        opened(data_settings, tmp_path)
    assert caught.value.problems == [
        "a.tar, sample '0': several images (left.jpg, right.jpg); choose one with `data.columns.image=left.jpg`"
    ]
    assert opened(data_settings, tmp_path, columns={"image": "Right.jpg"}).image_bytes(0) == FILES[1]


def test_braces_globs_and_lists_name_shards_in_order(data_settings, tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / "shards").mkdir(exist_ok=True)
        (tmp_path / "shards" / f"{number:03d}.tar").write_bytes(tar(*sample(number)))

    def read(pattern: str) -> list[str]:
        return opened(data_settings, tmp_path, pattern).items["item_id"].to_pylist()

    assert read("shards/{000..002}.tar") == ["000", "001", "002"]
    assert read("shards/*.tar") == ["000", "001", "002", "003"]
    assert read("shards/003.tar::shards/{001,000}.tar") == ["003", "001", "000"]
    assert read(f"{tmp_path}/shards/00[01].tar") == ["000", "001"]
    assert list(expand_braces("{9..11}{,x}")) == ["9", "9x", "10", "10x", "11", "11x"]
    assert list(expand_braces("{08..010}")) == ["008", "009", "010"]
    with pytest.raises(CatalogueError) as caught:
        opened(data_settings, tmp_path, "shards/{003..005}.tar")
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["shards/004.tar", "shards/005.tar"]
    with pytest.raises(CatalogueError, match=r"no such file; set `data\.root`"):
        opened(data_settings, tmp_path, "none/*.tar")
    with pytest.raises(CatalogueError, match="names more than 100000 shards"):
        opened(data_settings, tmp_path, "{0..999999999}{0..999999999}.tar")


WHOLE = tar(*sample(0), *sample(1))


def negative() -> bytes:
    """A tar whose second header claims a size below 0, which would lead back to the first."""
    at = WHOLE.index(b"0000.json")
    header = bytearray(WHOLE[at : at + 512])
    header[124:136] = (2**96 - 1024).to_bytes(12, "big")
    header[124] = 0xFF
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return WHOLE[:at] + bytes(header) + WHOLE[at + 512 :]


DAMAGED = {
    "cut in an image": (WHOLE[: WHOLE.index(b"0001.jpg") + 600], "is cut off or no tar file"),
    "cut in a header": (WHOLE[: WHOLE.index(b"0001.jpg") + 100], "is damaged or cut off: no header at byte"),
    "a damaged header": (WHOLE.replace(b"0001.json", b"x" * 9), "is damaged or cut off: no header at byte"),
    "a negative size": (negative(), "is damaged: .* impossible size"),
    "empty": (b"", "is cut off or no tar file"),
    "no tar": (FILES[0] * 3, "is cut off or no tar file"),
    "compressed": (gzip.compress(WHOLE), "is compressed.*gunzip"),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_shard_is_named_beside_the_others(data_settings, tmp_path: Path, damage: str) -> None:
    content, message = DAMAGED[damage]
    (tmp_path / "a.tar").write_bytes(content)
    (tmp_path / "b.tar").write_bytes(tar(("0.cls", b"7")))
    with pytest.raises(CatalogueError, match=rf"(?s)a\.tar: {message}.*b\.tar, sample '0': no image"):
        opened(data_settings, tmp_path)


def test_a_shard_without_the_end_s_mark_is_whole(data_settings, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(WHOLE[: WHOLE.rindex(b"}") // 512 * 512 + 512])
    assert len(opened(data_settings, tmp_path).items) == 2


BAD = {
    "no image": ([("0.json", b"{}")], "no image; it has: json"),
    "json": ([("0.jpg", FILES[0]), ("0.json", b"{")], r"\.json is not JSON"),
    "a list": ([("0.jpg", FILES[0]), ("0.json", b"[]")], r"\.json holds no JSON object"),
    "deep": ([("0.jpg", FILES[0]), ("0.json", b"[" * 100_000)], r"\.json maximum recursion depth"),
    "not UTF-8": ([("0.jpg", FILES[0]), ("0.txt", b"\xff")], r"\.txt is not UTF-8"),
    "a surrogate": ([("0.jpg", FILES[0]), ("0.json", b'{"\\ud800": 1}')], r"\.json has a field whose name is not"),
    "a long text": ([("0.jpg", FILES[0]), ("0.txt", b"x" * (2**20 + 1))], r"\.txt has 1048577 bytes; at most 1048576"),
    "twice": ([("0.jpg", FILES[0]), ("0.JPG", FILES[0])], r"two members are named \.jpg"),
    "empty": ([("0.jpg", b""), ("0.cls", b"7")], "the image is empty"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_sample_that_cannot_be_used_is_named(data_settings, tmp_path: Path, case: str) -> None:
    members, message = BAD[case]
    (tmp_path / "a.tar").write_bytes(tar(*members, ("1.jpg", FILES[1]), ("1.cls", b"7")))
    with pytest.raises(CatalogueError) as caught:
        opened(data_settings, tmp_path)
    (problem,) = caught.value.problems
    assert problem.startswith("a.tar, sample '0': ")
    assert re.search(message, problem)


def test_a_link_is_not_followed(data_settings, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            link = tarfile.TarInfo(f"{kind.decode()}.jpg")
            link.type, link.linkname = kind, "/etc/passwd"
            archive.addfile(link)
    (tmp_path / "a.tar").write_bytes(buffer.getvalue())
    with pytest.raises(CatalogueError, match=r"\.jpg is a link or a sparse file"):
        opened(data_settings, tmp_path)


def test_values_of_several_types_become_text(data_settings, tmp_path: Path) -> None:
    values = [7, "x", 2**70, [1, "a"], "\ud800", None]
    (tmp_path / "a.tar").write_bytes(tar(*(member for n, v in enumerate(values) for member in sample(n, size=v))))
    column = opened(data_settings, tmp_path).items["size"].to_pylist()
    assert column == ["7", "x", str(2**70), '[1, "a"]', "?", None]


def test_a_shard_that_changes_is_decoded_anew_or_refused(data_settings, tmp_path: Path) -> None:
    shard, spec = tmp_path / "a.tar", PreprocessingSpec(size=8)
    rows = np.arange(1)

    def pixels() -> np.ndarray:
        catalogue = opened(data_settings, tmp_path)
        prints = fingerprints(catalogue, rows, tmp_path / "cache").tobytes()
        return np.array(open_pixel_cache(catalogue, rows, spec, tmp_path / "cache")), prints

    same = [encode(np.full((16, 16, 3), shade, np.uint8), "PNG") for shade in (10, 200)]
    assert len(same[0]) == len(same[1])
    first, second = (tar(("0.png", picture), ("0.cls", b"7")) for picture in same)
    shard.write_bytes(first)
    old, old_prints = pixels()
    shard.write_bytes(second)
    os.utime(shard, ns=(1, 1))
    new, new_prints = pixels()
    assert (old == 10).all()
    assert (new == 200).all()
    assert old_prints != new_prints
    catalogue = opened(data_settings, tmp_path)
    shard.write_bytes(first[:560])
    with pytest.raises(ImageError, match=r"row 1: shard://512\+\d+/a\.tar: the shard gives 48 bytes instead of"):
        catalogue.picture(0)


def test_remote_shards_are_read_by_range(data_settings, tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    for number in range(2):
        memory.pipe(f"/wds/train-{number}.tar", tar(*sample(number)))
    try:
        for pattern in ("memory://wds/train-{0..1}.tar", "memory://wds/*.tar"):
            catalogue = opened(data_settings, tmp_path, pattern)
            assert [catalogue.image_bytes(row) for row in range(2)] == FILES[:2]
            assert catalogue.items["item_id"].to_pylist() == ["000", "001"]
        with pytest.raises(CatalogueError, match=r"memory://wds/absent\.tar: cannot be read.*FileNotFoundError"):
            opened(data_settings, tmp_path, "memory://wds/absent.tar")
        with pytest.raises(CatalogueError, match="Protocol not known: foo"):
            opened(data_settings, tmp_path, "foo://wds/*.tar")
    finally:
        memory.rm("/wds", recursive=True)


@pytest.mark.parametrize("module", [shard_address, patterns])
def test_the_examples_run(module) -> None:
    failed, tried = doctest.testmod(module)
    assert tried
    assert not failed
