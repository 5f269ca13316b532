"""Where a bundle's Milvus collection is, and what is said of the two that must agree."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from src.contracts.bundle import Bundle
from src.contracts.errors import BundleError
from src.search.items import SHOWN

if TYPE_CHECKING:
    from src.index.change_store import ItemChange

__all__ = ["MilvusPlace", "check_collection", "collection_of"]

_SAME = ("encoder_id", "preprocessing", "digest")
"""What the manifest's `index` and the collection's properties, which begin with `lookalike.`, both say."""


@dataclass(frozen=True, kw_only=True)
class MilvusPlace:
    """A Milvus server.

    Attributes:
        uri: its address, or the path of a file of milvus-lite.
        token: `user:password` or an API key.
        timeout: seconds until a call that is not answered fails.
        consistency: of searches that name no position: Strong, Bounded or Eventually.
        changed: the newest change of each of some items, for answers without Milvus; raises `JournalError` where that
            cannot be known.
        jpeg: the small JPEG of a changed item's image, by its id; raises likewise.
    """

    uri: str
    token: str = field(default="", repr=False)
    timeout: float = 2.5
    consistency: str = "Bounded"
    changed: Callable[[Sequence[str]], Mapping[str, "ItemChange"]] = lambda item_ids: {}
    jpeg: Callable[[str], bytes | None] = lambda image_id: None


def collection_of(bundle: Bundle) -> str | None:
    """The Milvus collection that a bundle names; None where its index is a file."""
    index = bundle.content["index"]
    return str(index["collection"]) if index.get("backend") == "milvus" else None


def check_collection(bundle: Bundle, *, dim: int, columns: Mapping[str, Any], properties: Mapping[str, str]) -> None:
    """Raise `BundleError` where a collection was not made for a bundle; names what differs.

    Args:
        bundle: names the collection.
        dim: of the collection's vectors.
        columns: the collection's, by name.
        properties: the collection's.
    """
    content = bundle.content
    said = {
        "encoder_id": content["encoder_id"],
        "preprocessing": bundle.preprocessing.hash,
        "digest": content["index"]["digest"],
    }
    found = {name: properties.get(f"lookalike.{name}", "nothing") for name in _SAME}
    differs = [f"its {name} is {found[name]}, the bundle's {said[name]}" for name in _SAME if found[name] != said[name]]
    if dim != content["dim"]:
        differs.append(f"its vectors have {dim} dimensions, the bundle's {content['dim']}")
    missing = sorted({*SHOWN, "parent_key"} - {*columns})
    if missing:
        differs.append(f"it has no column {', '.join(missing)}")
    if differs:
        collection = content["index"]["collection"]
        raise BundleError(
            f"bundle {bundle.root}: collection `{collection}` is not the one that was exported with it: "
            f"{'; '.join(differs)}; export the bundle again"
        )
