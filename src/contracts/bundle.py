"""The bundle: one folder that serving needs, content-addressed, verified whenever it is opened.

`manifest.json` has three parts. `content` is what the bundle is: the hash of every file, the preprocessing spec, the
encoder, the index. The bundle's id is its hash, and equal inputs give equal ids. `measured` is what was found out about
it (recall, parity, latency, versions): true, but not the same on each machine. `seal` hashes the two, so that a changed
figure is noticed like a changed file. `src/contracts/signature.py` has the signature of the seal
that a bundle may carry.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from src.contracts.errors import BundleError
from src.contracts.exchange import staged_folder
from src.contracts.preprocessing import PreprocessingSpec
from src.contracts.signature import SIGNATURE, check_signature

__all__ = [
    "DRIFT_REFERENCE",
    "ENCODER",
    "GOLDEN",
    "INDEX",
    "ITEMS_ARROW",
    "ITEMS_TABLE",
    "MANIFEST",
    "NEIGHBOURS",
    "THUMBNAILS",
    "TRENDING",
    "VECTOR_HASHES",
    "WORDS",
    "Bundle",
    "open_bundle",
    "read_bundle_id",
    "refuse_foreign",
    "staged_bundle",
]

MANIFEST = "manifest.json"
ENCODER = "encoder.onnx"
GOLDEN = "golden.npz"
NEIGHBOURS = "neighbours.npz"
INDEX = "index.faiss"
VECTOR_HASHES = "vector_hashes.npy"
ITEMS_TABLE = "items.parquet"
ITEMS_ARROW = "items.arrow"
WORDS = "words.sqlite"
THUMBNAILS = "thumbnails.arrow"
DRIFT_REFERENCE = "drift_reference.npz"
TRENDING = "trending.json"

_FORMAT = 3


@dataclass(frozen=True)
class Bundle:
    """A verified bundle.

    Attributes:
        root: its folder.
        bundle_id: SHA-256 of `content`, 64 hex digits.
        content: what it is: `preprocessing`, `encoder_id`, `dim`, `metric`, `index`, `config`, ...
        measured: what was measured on it: `parity`, `index`, `evaluation`, `versions`, ...
    """

    root: Path
    bundle_id: str
    content: dict[str, Any]
    measured: dict[str, Any]

    @cached_property
    def preprocessing(self) -> PreprocessingSpec:
        """How the encoder's pixels are made."""
        return PreprocessingSpec.from_dict(self.content["preprocessing"])

    @property
    def seal(self) -> str:
        """SHA-256 of `content` and `measured`, 64 hex digits: what a signature is made over."""
        return _seal(self.content, self.measured)

    def path(self, name: str) -> Path:
        """The path of one of the bundle's files; only names that the manifest lists have one."""
        if name not in self.content["files"]:
            raise BundleError(f"bundle {self.root}: it has no {name}; it has {', '.join(self.content['files'])}")
        return self.root / name

    def check_in_place(self) -> None:
        """Raise `BundleError` where another bundle has taken this one's place: ask once its files are loaded.

        Until then, some could be of the old one and some of the new.
        """
        try:
            found = self.seal.encode() in (self.root / MANIFEST).read_bytes()
        except OSError:
            found = False
        if not found:
            raise BundleError(f"bundle {self.root}: another took its place while it was being opened; open it again")


@dataclass
class _Draft:
    """A bundle that is being written: put files into `root`, figures into the two dictionaries."""

    root: Path
    content: dict[str, Any] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict)


@contextmanager
def staged_bundle(output: Path) -> Iterator[_Draft]:
    """Write a bundle beside its place and move it there when it is whole.

    If the block raises, or the process dies, `output` is as it was. An older bundle at `output` is replaced.

    Raises:
        BundleError: `output` holds something that is no bundle.
    """
    with staged_folder(output, check=refuse_foreign) as staging:
        draft = _Draft(staging)
        yield draft
        _write_manifest(draft)


def open_bundle(root: Path, *, public_key: Path | None = None) -> Bundle:
    """Verify every hash of a bundle and open it.

    Args:
        root: its folder.
        public_key: PEM file of the Ed25519 key that it must be signed with; without one a signature is not looked at.

    Raises:
        BundleError: no bundle, another format, a file that is missing, additional or not what the manifest says, or
            not signed with that key.
        ConfigError: no such key in the file.
    """
    manifest = _read_manifest(root)
    content = manifest["content"]
    if public_key is not None:
        check_signature(root, manifest["seal"], public_key)
    _verify_files(root, content["files"])
    return Bundle(root, _hash(_canonical(content)), content, manifest["measured"])


def read_bundle_id(root: Path) -> str:
    """The id of a bundle by its manifest alone; its files are not verified.

    Raises:
        BundleError: no bundle, another format, or an altered manifest.
    """
    return _hash(_canonical(_read_manifest(root)["content"]))


def _read_manifest(root: Path) -> dict[str, Any]:
    try:
        raw = (root / MANIFEST).read_bytes()
    except OSError as error:
        raise BundleError(
            f"bundle {root}: no readable {MANIFEST} ({error.strerror}); make one with export.py"
        ) from None
    try:
        manifest = json.loads(raw)
    except ValueError:
        raise BundleError(f"bundle {root}: {MANIFEST} is damaged; export it again") from None
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if isinstance(found, int) and found < _FORMAT:
        raise BundleError(
            f"bundle {root}: exported by an older version of Lookalike (format {found}, this one reads {_FORMAT}); "
            "export it again"
        )
    if found != _FORMAT:
        raise BundleError(f"bundle {root}: {MANIFEST} is not of format {_FORMAT}; export it again")
    if not _is_sealed(raw, manifest):
        raise BundleError(f"bundle {root}: {MANIFEST} was altered; export it again")
    return manifest


def _is_sealed(raw: bytes, manifest: Mapping[str, Any]) -> bool:
    """Whether a manifest is as it was written; compared as bytes, so that not even a changed space passes."""
    try:
        return raw == _manifest(manifest["content"], manifest["measured"])
    except (KeyError, ValueError):  # a part is gone, or a number became too large for JSON
        return False


def _verify_files(root: Path, files: Mapping[str, Mapping[str, Any]]) -> None:
    present = {path.name for path in root.iterdir()} - {MANIFEST}
    if (root / SIGNATURE).is_file():  # of the seal, which is of these files
        present.remove(SIGNATURE)
    problems = [f"{name} is missing" for name in sorted(files.keys() - present)]
    problems += [f"{name} does not belong to it" for name in sorted(present - files.keys())]
    for name in sorted(files.keys() & present):
        if not (root / name).is_file():
            problems.append(f"{name} is not a file")
            continue
        found = _hash_file(root / name)
        if found != files[name]["sha256"]:
            problems.append(f"{name} has hash {found[:16]}, the manifest says {files[name]['sha256'][:16]}")
    if problems:
        raise BundleError(f"bundle {root} is damaged or altered: {'; '.join(problems)}; export it again")


def _write_manifest(draft: _Draft) -> None:
    files = {
        path.name: {"sha256": _hash_file(path), "bytes": path.stat().st_size} for path in sorted(draft.root.iterdir())
    }
    content = {**draft.content, "files": files}
    (draft.root / MANIFEST).write_bytes(_manifest(content, draft.measured))


def refuse_foreign(output: Path) -> None:
    """Raise `BundleError` where a folder holds something that is no bundle."""
    if output.is_dir() and (not any(output.iterdir()) or _is_ours(output / MANIFEST)):
        return
    if output.exists():
        raise BundleError(f"`output={output}`: exists and is no bundle; name a new folder")


def _is_ours(manifest: Path) -> bool:
    """Whether a manifest is a bundle's, damaged or not; other programs write files of that name, too."""
    parts = (b'"content"', b'"format"', b'"measured"', b'"seal"')
    return manifest.is_file() and all(part in manifest.read_bytes() for part in parts)


def _manifest(content: Mapping[str, Any], measured: Mapping[str, Any]) -> bytes:
    parts = {"format": _FORMAT, "content": content, "measured": measured, "seal": _seal(content, measured)}
    return _canonical(parts)


def _seal(content: Mapping[str, Any], measured: Mapping[str, Any]) -> str:
    return _hash(_canonical({"content": content, "measured": measured}))


def _canonical(data: Mapping[str, Any]) -> bytes:
    return (json.dumps(data, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
