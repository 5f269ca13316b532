"""The collections of exports and the aliases that point at them: python -m src.index.milvus_collections list|use|drop.

    list URI [NAME]               collections, of the exports to NAME, with their aliases
    use URI NAME COLLECTION       let NAME point at an export's collection, for instance the one before
    drop URI COLLECTION           remove a collection that no alias points at

`MILVUS_TOKEN` is the token.
"""

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pymilvus import MilvusClient

from src.contracts.errors import ConfigError
from src.contracts.exit_codes import exit_with_message
from src.index.milvus_catalogue import BUNDLE_ID, ENCODER_ID, STATE, WHOLE
from src.index.milvus_connection import connect, disconnect, milvus_calls

__all__ = ["MilvusCollections", "main"]


class MilvusCollections:
    """One server's collections by name, and its aliases."""

    def __init__(self, client: MilvusClient, place: str, timeout: float) -> None:
        """Use a client; see `open`."""
        self._client, self._place, self._timeout = client, place, timeout

    @classmethod
    @contextmanager
    def open(cls, uri: str, *, token: str = "", timeout: float = 30.0) -> Iterator["MilvusCollections"]:
        """Connect; arguments and errors as for `MilvusIndex`."""
        client, place = connect(uri, token, timeout)
        try:
            yield cls(client, place, timeout)
        finally:
            disconnect(client, uri)

    def names(self) -> list[str]:
        """All collections, sorted."""
        with milvus_calls(self._place, "list collections"):
            return sorted(self._client.list_collections(timeout=self._timeout))

    def properties(self, collection: str) -> dict[str, str]:
        """Of one; empty where it is not there."""
        if collection not in self.names():
            return {}
        with milvus_calls(self._place, f"describe `{collection}`"):
            return dict(self._client.describe_collection(collection, timeout=self._timeout).get("properties") or {})

    def has_index(self, collection: str) -> bool:
        """Whether it has one: Milvus makes a collection and its index in two steps, between which an export may end."""
        with milvus_calls(self._place, f"indexes of `{collection}`"):
            return bool(self._client.list_indexes(collection, timeout=self._timeout))

    def set_properties(self, collection: str, properties: dict[str, str]) -> None:
        """Add properties, or replace those of the same names."""
        with milvus_calls(self._place, f"describe `{collection}`"):
            self._client.alter_collection_properties(collection, properties, timeout=self._timeout)

    def aliases(self, collection: str) -> list[str]:
        """Those that point at a collection."""
        with milvus_calls(self._place, f"aliases of `{collection}`"):
            return sorted(self._client.list_aliases(collection, timeout=self._timeout)["aliases"])

    def target(self, alias: str) -> str:
        """The collection that an alias points at; empty where there is no such alias."""
        return next((name for name in self.names() if alias in self.aliases(name)), "")

    def use(self, alias: str, collection: str) -> str:
        """Let an alias point at a whole collection; returns where it pointed before, empty for nowhere.

        Raises:
            ConfigError: no such collection, one that an export has not finished, or a collection of the alias's name.
        """
        names = self.names()
        if collection not in names:
            raise ConfigError(f"Milvus at {self._place} has no collection `{collection}`; it has {', '.join(names)}")
        if alias in names:
            raise ConfigError(f"`{alias}` is a collection at {self._place}, so that it can be no alias; name another")
        if self.properties(collection).get(STATE) != WHOLE:
            raise ConfigError(f"collection `{collection}` was not finished; run its export again")
        before = self.target(alias)
        with milvus_calls(self._place, f"point `{alias}` at `{collection}`"):
            if not before:
                self._client.create_alias(collection, alias, timeout=self._timeout)
            elif before != collection:
                self._client.alter_alias(collection, alias, timeout=self._timeout)
        return before

    def drop(self, collection: str) -> None:
        """Remove a collection.

        Raises:
            ConfigError: no such collection, or one that is served: milvus-lite and 2.3 would drop it with its aliases.
        """
        if collection not in self.names():
            raise ConfigError(f"Milvus at {self._place} has no collection `{collection}`")
        if aliases := self.aliases(collection):
            raise ConfigError(f"`{collection}` is served as {', '.join(aliases)}; let that point at another first")
        with milvus_calls(self._place, f"drop `{collection}`"):
            self._client.drop_collection(collection, timeout=self._timeout)

    def rows(self, collection: str) -> int:
        """Rows that were written, those that were replaced included: quick, for people."""
        with milvus_calls(self._place, f"count `{collection}`"):
            found: dict[str, Any] = self._client.get_collection_stats(collection, timeout=self._timeout)
        return int(found["row_count"])


def _list(place: MilvusCollections, name: str) -> Iterator[str]:
    for collection in place.names():
        if not collection.startswith(f"{name}_" if name else ""):
            continue
        said = place.properties(collection)
        aliases = ", ".join(place.aliases(collection)) or "-"
        state = said.get(STATE, "not of an export")
        bundle, encoder = said.get(BUNDLE_ID, "-")[:16], said.get(ENCODER_ID, "-")
        size = f"{place.rows(collection):,} rows"
        yield f"{collection}  alias {aliases}  {state}  {size}  bundle {bundle}  encoder {encoder}"


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m src.index.milvus_collections",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("what", choices=("list", "use", "drop"))
    parser.add_argument("uri", metavar="URI")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parsed = parser.parse_args(arguments)
    least, most = {"list": (0, 1), "use": (2, 2), "drop": (1, 1)}[parsed.what]
    if not least <= len(parsed.names) <= most:
        parser.error(f"{parsed.what} takes {least} to {most} names after URI")
    with (
        exit_with_message(),
        MilvusCollections.open(parsed.uri, token=os.environ.get("MILVUS_TOKEN", "")) as place,
    ):
        if parsed.what == "list":
            print("\n".join(_list(place, *parsed.names or [""])) or "no collection")
        elif parsed.what == "use":
            before = place.use(*parsed.names)
            print(f"{parsed.names[0]} points at {parsed.names[1]}; before, at {before or 'nothing'}")
        else:
            place.drop(parsed.names[0])
            print(f"dropped {parsed.names[0]}")


if __name__ == "__main__":
    main()
