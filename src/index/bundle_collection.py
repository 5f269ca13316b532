"""The collection that a bundle was exported to."""

from typing import Any

from src.contracts.bundle import Bundle
from src.contracts.errors import BundleError
from src.index.milvus_catalogue import ENCODER_ID, PREPROCESSING, STATE, WHOLE
from src.index.milvus_index import MilvusIndex

__all__ = ["open_collection"]


def open_collection(bundle: Bundle, uri: str, *, collection: str = "", **options: Any) -> MilvusIndex:
    """Open the index of a bundle that was exported with `index.backend=milvus`.

    Args:
        bundle: its manifest says which collection; it does not say where.
        uri: of the server.
        collection: another collection or alias than the manifest's, for instance its `alias`.
        options: of `MilvusIndex`; `ef_search` and `nprobe` are the manifest's unless given.

    Raises:
        BundleError: the bundle's index is a file, the collection is of another encoder or preprocessing, or its export
            was not finished.
        LookalikeError: the server is away or refuses, or has no such collection.
    """
    content = bundle.content["index"]
    if content.get("backend") != "milvus":
        raise BundleError(f"bundle {bundle.root}: its index is a file of it; export it with index.backend=milvus")
    name = collection or content["collection"]
    index = MilvusIndex(uri, name, **{**content["search"], **options})
    try:
        own = {ENCODER_ID: bundle.content["encoder_id"], PREPROCESSING: bundle.preprocessing.hash, STATE: WHOLE}
        for what, expected in own.items():
            found = index.properties.get(what, "none")
            if found != expected:
                raise BundleError(
                    f"bundle {bundle.root} and collection `{name}` are not of one export: {what.rpartition('.')[2]} is "
                    f"{expected} in the bundle, {found} in the collection; export again"
                )
        if index.dim != bundle.content["dim"]:
            raise BundleError(f"bundle {bundle.root}: collection `{name}` has {index.dim} dimensions; export again")
    except BaseException:
        index.close()
        raise
    return index
