"""The samples of one tar shard: members that share a key, without the content of images."""

import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

__all__ = ["Sample", "iterate_samples"]

_NAME = re.compile(r"((?:.*/|)[^.]+)[.]([^/]*)", re.DOTALL)
"""Key and extension, as WebDataset's `base_plus_ext` parts them: at the first dot of the file's name."""

_TEXTS = frozenset(("json", "jsn", "txt", "text", "transcript", "cls", "cls2", "class", "count", "index", "inx", "id"))
"""Extensions that WebDataset decodes as JSON, text and numbers (`webdataset.autodecode.basichandlers`)."""

_LARGEST_TEXT = 2**20
_IMAGES = frozenset(("jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "bmp", "tif", "tiff"))


@dataclass
class Sample:
    """One sample.

    Attributes:
        key: the members' common name, with folders.
        images: extension in lower case (`jpg`, `left.png`) -> offset and length of the image, in bytes.
        texts: extension -> content of a JSON, text or number member.
        problems: members that cannot be used.
    """

    key: str
    images: dict[str, tuple[int, int]] = field(default_factory=dict)
    texts: dict[str, bytes] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def iterate_samples(file: IO[bytes]) -> Iterator[Sample]:
    """Read a shard's headers and its small text members; images are skipped, nothing is unpacked.

    Neighbouring members with one key are a sample. Members of other kinds are passed over (pickles and arrays among
    them), as are folders and names without key and extension. One sample is in memory at a time.

    Args:
        file: a tar file without compression; one that can seek.

    Raises:
        ValueError: it is no such file, is cut off or damaged; the samples before have been given.
    """
    sample: Sample | None = None
    for member in _members(file):
        name = _NAME.fullmatch(member.name)
        if name is None or member.isdir():
            continue
        key, extension = name[1], name[2].lower()
        if sample is None or key != sample.key:
            if sample is not None:
                yield sample
            sample = Sample(key)
        _add(sample, extension, member, file)
    if sample is not None:
        yield sample


def _add(sample: Sample, extension: str, member: tarfile.TarInfo, file: IO[bytes]) -> None:
    kind = extension.rsplit(".")[-1]
    if kind not in _IMAGES and extension not in _TEXTS:
        return
    if extension in sample.images or extension in sample.texts:
        sample.problems.append(f"two members are named .{extension}")
    elif not member.isreg() or member.issparse():
        sample.problems.append(f".{extension} is a link or a sparse file, not a plain one")
    elif kind in _IMAGES:
        sample.images[extension] = (member.offset_data, member.size)
    elif member.size > _LARGEST_TEXT:
        sample.problems.append(f".{extension} has {member.size} bytes; at most {_LARGEST_TEXT} are read")
    else:
        file.seek(member.offset_data)
        sample.texts[extension] = file.read(member.size)


def _members(file: IO[bytes]) -> Iterator[tarfile.TarInfo]:
    if file.read(2) == b"\x1f\x8b":
        raise ValueError("is compressed, so no image can be read alone: unpack it with gunzip")
    file.seek(0)
    before = -1
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            while (member := archive.next()) is not None:
                # A negative size would lead back to a header that was read before.
                if archive.offset <= before or member.size < 0:
                    raise ValueError(f"is damaged: the header at byte {member.offset} has an impossible size")
                before = archive.offset
                # Else all headers stay in memory; `members` is missing in typeshed.
                archive.members.clear()  # type: ignore[attr-defined]
                yield member
            end = archive.offset
    except (tarfile.TarError, EOFError) as error:
        raise ValueError(f"is cut off or no tar file ({error})") from error
    # `tarfile` takes a damaged header for the end.
    file.seek(end)
    if file.read(tarfile.BLOCKSIZE).strip(b"\0"):
        raise ValueError(f"is damaged or cut off: no header at byte {end}")
