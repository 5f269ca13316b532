"""Where a bundle's Milvus collection is. Imports neither pymilvus nor SQLAlchemy."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from src.contracts.bundle import Bundle

if TYPE_CHECKING:
    from src.index.change_store import ItemChange

__all__ = ["MilvusPlace", "collection_of"]


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
