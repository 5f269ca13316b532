"""The address of an image within a tar shard: `shard://OFFSET+LENGTH/PATH`."""

import re
from typing import NamedTuple

__all__ = ["ShardAddress", "parse_shard_address", "shard_address"]

_FORM = re.compile(r"shard://(\d{1,19})\+(\d{1,19})/(.+)", re.DOTALL)


class ShardAddress(NamedTuple):
    """Where an image's bytes are.

    Attributes:
        offset: of the first byte in the shard.
        length: in bytes.
        path: of the shard: below the catalogue's root, absolute, or a URI.
    """

    offset: int
    length: int
    path: str


def shard_address(offset: int, length: int, path: str) -> str:
    """An address as text.

    Example:
        >>> shard_address(1536, 20480, "shards/000.tar")
        'shard://1536+20480/shards/000.tar'
    """
    return f"shard://{offset}+{length}/{path}"


def parse_shard_address(image: str) -> ShardAddress | None:
    """The parts of an address; None for any other path or URI.

    Example:
        >>> parse_shard_address("shard://1536+20480//data/000.tar")
        ShardAddress(offset=1536, length=20480, path='/data/000.tar')
    """
    match = _FORM.fullmatch(image)
    return ShardAddress(int(match[1]), int(match[2]), match[3]) if match else None
