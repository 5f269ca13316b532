"""Independent random streams: one for each product, item and image, all from the shop's seed."""

from enum import IntEnum

import numpy as np

__all__ = ["Stream", "stream"]


class Stream(IntEnum):
    """What a stream is for. Its number is part of the seed, so streams of different kinds never meet."""

    PLAN = 0
    PRODUCT = 1
    TWIN = 2
    ITEM = 3
    VIEW = 4
    PHOTO = 5
    CLICKS = 6
    BYSTANDER = 7
    BRAND = 8


def stream(seed: int, kind: Stream, *ids: int) -> np.random.Generator:
    """The generator of one thing: the same numbers whoever draws it, in whichever process and order."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, int(kind), *ids])))
