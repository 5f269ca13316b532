"""Decoding within a budget of memory: a photo is admitted by the bytes that decoding it takes.

A decoder that runs cannot be cancelled, so what is too costly is refused before it starts.
"""

from collections.abc import Callable
from dataclasses import astuple, dataclass, field
from enum import Enum
from typing import TypeVar

from serve.errors import overloaded
from serve.pipeline.threads import ThreadPools
from serve.stages import Stages
from src.contracts.image_errors import ImageTooLargeError
from src.contracts.image_header import ImageHeader, decoding_bytes
from src.contracts.preprocessing import PreprocessingSpec
from src.search.box import Box

__all__ = ["Cost", "Decoding"]

T = TypeVar("T")

_MIB = 1024 * 1024
_QUICK = 32 * _MIB
"""Bytes that an encoder's thread may use for decoding a JPEG: tens of milliseconds of work."""
_LARGE = 64 * _MIB
"""Photos above this are decoded one at a time, on a thread of their own: others do not wait for them."""
_LARGE_WAITING = 4
"""Large photos that wait or are being decoded; more are refused."""


class Cost(Enum):
    """How a photo is decoded."""

    QUICK = "on the encoder's thread"
    NORMAL = "on the threads for decoding"
    LARGE = "on the thread for large photos"


@dataclass(kw_only=True, eq=False)
class Decoding:
    """Decides where a photo is decoded, and runs it there.

    At most `threads` x 64 MiB + `most` bytes are taken by decoders at once, beside 32 MiB for each encoder's thread.

    Attributes:
        most: bytes that decoding one photo may take.
        max_pixels: of the largest photo.
    """

    pools: ThreadPools
    most: int
    max_pixels: int
    _large: int = field(default=0, init=False)

    def cost(self, header: ImageHeader, spec: PreprocessingSpec | None = None, box: Box | None = None) -> Cost:
        """The cost of a photo that is decoded as `spec` and `box` say, or in full size; raises `ImageTooLargeError`."""
        if header.width * header.height > self.max_pixels:
            raise ImageTooLargeError(
                f"{header.width} x {header.height} pixels; at most {self.max_pixels:,} pixels are read: scale it down"
            )
        size = decoding_bytes(header, spec=spec, box=None if box is None else astuple(box))
        if size > self.most:
            raise ImageTooLargeError(
                f"decoding this {header.format} of {header.width} x {header.height} pixels takes {size // _MIB:,} MiB; "
                f"at most {self.most // _MIB:,} MiB are allowed: scale the photo down, or save it as a JPEG"
            )
        if size > _LARGE:
            return Cost.LARGE
        return Cost.QUICK if size <= _QUICK and header.format == "JPEG" else Cost.NORMAL

    async def run(self, cost: Cost, work: Callable[[], T], stages: Stages) -> T:
        """Run `work`, which decodes a photo of this cost, on another thread; raises `Problem` 503."""
        if cost is not Cost.LARGE:
            return await self.pools.run("decode", work, stages)
        if self._large >= _LARGE_WAITING:
            raise overloaded(f"{self._large} large photos are waiting to be decoded, which is the limit", seconds=2)
        self._large += 1
        try:
            return await self.pools.run("decode", work, stages, pool="decode-large", threads=1)
        finally:
            self._large -= 1
