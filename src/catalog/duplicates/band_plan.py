"""Hashes cut into bands, so that near ones are found by a join on equal values; what a cut costs and misses."""

from dataclasses import dataclass
from math import comb

import numpy as np

from src.catalog.duplicates.perceptual_hash import BITS
from src.contracts.errors import ConfigError

__all__ = ["BandPlan"]


@dataclass(frozen=True)
class BandPlan:
    """How the 256 bits are cut, and how far values of one band may lie apart.

    A pair of hashes is found if in one band at least their values differ in at most `radius` bits; then all of their
    bits are compared (multi-index hashing: Norouzi, Punjani, Fleet: Fast search in Hamming space with multi-index
    hashing, 2012).

    Attributes:
        bands: into how many equal bands; 8, 16 or 32.
        radius: bits in which two values of a band may differ, 0 or 1. With 1 each image asks with width + 1 values.
        max_bits: pairs that differ in more bits of all 256 are not duplicates.
    """

    bands: int = 16
    radius: int = 1
    max_bits: int = 40

    def __post_init__(self) -> None:
        problems = []
        if self.bands not in (8, 16, 32):
            problems.append(f"bands={self.bands}: must be 8, 16 or 32")
        if self.radius not in (0, 1):
            problems.append(f"radius={self.radius}: must be 0 or 1")
        if not 0 <= self.max_bits <= BITS:
            problems.append(f"max_bits={self.max_bits}: must lie in 0..{BITS}")
        if problems:
            raise ConfigError("; ".join(problems))

    @property
    def width(self) -> int:
        """Bits of a band."""
        return BITS // self.bands

    @property
    def guaranteed(self) -> int:
        """Every pair that differs in so many bits is found: more do not fit into the bands without a band of few."""
        return self.bands * (self.radius + 1) - 1

    @property
    def masks(self) -> tuple[int, ...]:
        """What a band's value is changed by before it is looked up: nothing, or one of its bits."""
        return (0, *(1 << bit for bit in range(self.width))) if self.radius else (0,)

    def probability(self, bits: int) -> float:
        """The probability of finding a pair that differs in so many bits, if each set of bits is equally likely.

        Counted: of all ways to spread the bits over the bands, those that give each band more than `radius`.

        Args:
            bits: 0 to 256.
        """
        missed = [1] + [0] * bits
        for _ in range(self.bands):
            longer = [0] * (bits + 1)
            for had, ways in enumerate(missed):
                for more in range(self.radius + 1, min(self.width, bits - had) + 1) if ways else ():
                    longer[had + more] += ways * comb(self.width, more)
            missed = longer
        return 1 - missed[bits] / comb(BITS, bits)

    def expected_candidates(self, images: float) -> float:
        """How many other images are compared with one, if hashes were random; those of one shop are more alike.

        Args:
            images: in the catalogue.
        """
        return self.bands * len(self.masks) * images / 2**self.width

    def values(self, hashes: np.ndarray) -> np.ndarray:
        """Each band's value.

        Args:
            hashes: uint8 of shape (images, 32).

        Returns:
            int64 of shape (images, bands), 0 to 2^width - 1.
        """
        of_bytes = np.ascontiguousarray(hashes).view(f">u{self.width // 8}")
        return np.asarray(of_bytes.reshape(len(hashes), self.bands), np.int64)
