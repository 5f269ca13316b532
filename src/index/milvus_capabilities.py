"""What a Milvus server can do, from the version that it says it has."""

import re
from dataclasses import dataclass

from src.contracts.errors import ConfigError
from src.index.milvus_kinds import CLUSTER_KINDS, LITE_KINDS

__all__ = ["Capabilities"]


@dataclass(frozen=True)
class Capabilities:
    """What of that which we use a server has.

    Attributes:
        version: as the server says it, for instance `milvus_lite-3.2.2` or `v2.3.5-lite`, which is a server.
        kinds: of indexes that it really builds.
        grouping: whether a search can be grouped by a column. Older servers ignore the request silently.
        nulls: whether a column may hold null.
        partition_keys: whether a row that is upserted is found by its partition key. 2.3.5 puts it into another
            partition than a filter on the key looks into.
    """

    version: str
    kinds: tuple[str, ...]
    grouping: bool
    nulls: bool
    partition_keys: bool

    @classmethod
    def of(cls, version: str) -> "Capabilities":
        """Read a version.

        Raises:
            ConfigError: it names none.
        """
        if version.startswith("milvus_lite"):
            return cls(version, LITE_KINDS, grouping=True, nulls=True, partition_keys=True)
        found = re.search(r"(\d+)\.(\d+)", version)
        if found is None:
            raise ConfigError(f"the Milvus server calls its version {version!r}; 2.0 or newer is needed")
        number = (int(found[1]), int(found[2]))
        kinds = tuple(kind for kind, since in CLUSTER_KINDS.items() if since <= number)
        newer = number >= (2, 4)
        return cls(version, kinds, grouping=newer, nulls=number >= (2, 5), partition_keys=newer)

    @property
    def lacks(self) -> tuple[str, ...]:
        """What is done here instead of there, for people."""
        lacking = {
            "grouping search (images are grouped by item here; Milvus 2.4 has it)": self.grouping,
            "nulls (kept as values that meet no condition; Milvus 2.5 has them)": self.nulls,
            "partition keys with upserts (the category is a plain column; Milvus 2.4 has them)": self.partition_keys,
        }
        return tuple(what for what, there in lacking.items() if not there)

    def check_kind(self, kind: str) -> None:
        """Raise `ConfigError` for an index kind that the server does not build; names what it has."""
        if kind not in self.kinds:
            raise ConfigError(f"`kind={kind}`: {self.version} has {', '.join(self.kinds)}")
