"""How pixels are made from an image file, as a value with a hash."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from src.contracts.errors import ConfigError

__all__ = ["PreprocessingSpec"]

_MODES = ("crop", "pad", "squash")
_INTERPOLATIONS = ("bilinear", "bicubic", "lanczos")
_DECODINGS = ("full", "reduced")


@dataclass(frozen=True)
class PreprocessingSpec:
    """How pixels are made from an image file. Travels with the weights; `hash` names it.

    Attributes:
        size: side of the square output, in pixels.
        resize: `crop` scales the shorter side and takes the centre, `pad` scales the longer side and pads with white,
            `squash` ignores the aspect ratio.
        crop_fraction: with `crop`, the part of the shorter side that is kept, in (0, 1].
        interpolation: `bilinear`, `bicubic` or `lanczos`, always antialiased.
        mean: per-channel RGB mean on the 0..1 scale, subtracted inside the encoder.
        std: per-channel RGB standard deviation on the 0..1 scale.
        decoding: `reduced` decodes a JPEG at 1/2, 1/4 or 1/8 of its sides where that leaves at least twice what
            resizing needs; `full` decodes all of its pixels. Other formats are always decoded in full.
    """

    size: int = 224
    resize: str = "crop"
    crop_fraction: float = 1.0
    interpolation: str = "bicubic"
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    decoding: str = "reduced"

    def __post_init__(self) -> None:
        # Numbers of one value must hash alike, whether they were written 1 or 1.0.
        object.__setattr__(self, "crop_fraction", float(self.crop_fraction))
        object.__setattr__(self, "mean", tuple(float(value) for value in self.mean))
        object.__setattr__(self, "std", tuple(float(value) for value in self.std))
        problems = []
        if not 8 <= self.size <= 2048:
            problems.append(f"`preprocessing.size={self.size}`: must lie in 8..2048")
        if self.resize not in _MODES:
            problems.append(f"`preprocessing.resize={self.resize}`: must be one of {', '.join(_MODES)}")
        if not 0 < self.crop_fraction <= 1:
            problems.append(f"`preprocessing.crop_fraction={self.crop_fraction}`: must lie in (0, 1]")
        if self.interpolation not in _INTERPOLATIONS:
            problems.append(f"`preprocessing.interpolation={self.interpolation}`: one of {', '.join(_INTERPOLATIONS)}")
        numbers = (*self.mean, *self.std)
        if len(self.mean) != 3 or len(self.std) != 3 or not np.isfinite(numbers).all() or min(self.std) <= 0:
            problems.append("`preprocessing.mean`, `preprocessing.std`: three finite numbers each, std above 0")
        if self.decoding not in _DECODINGS:
            problems.append(f"`preprocessing.decoding={self.decoding}`: must be one of {', '.join(_DECODINGS)}")
        if problems:
            raise ConfigError("\n".join(problems))

    @cached_property
    def hash(self) -> str:
        """The first 16 hex digits of the SHA-256 of the spec as canonical JSON."""
        return hashlib.sha256(json.dumps(self._fields(), sort_keys=True).encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """The spec and its hash, for a manifest or a checkpoint."""
        return {**self._fields(), "hash": self.hash}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "PreprocessingSpec":
        """The inverse of `to_dict`; a dictionary without `decoding` is of before there was a choice, and means `full`.

        Raises:
            ConfigError: an unknown or missing field, or a hash that does not belong to the fields.
        """
        values = {"decoding": "full", **data}
        values.pop("hash", None)
        names = {field.name for field in fields(cls)}
        if values.keys() != names:
            raise ConfigError(f"preprocessing spec: fields {sorted(values.keys() ^ names)} are unknown or missing")
        spec = cls(**values)
        if "hash" in data and data["hash"] != spec.hash:
            raise ConfigError(f"preprocessing spec: its fields hash to {spec.hash}, but it names {data['hash']}")
        return spec

    def _fields(self) -> dict[str, Any]:
        """Plain values; `full` is left out, so that specs of before there was a choice keep their hash."""
        values = {**asdict(self), "mean": list(self.mean), "std": list(self.std)}
        if self.decoding == "full":
            del values["decoding"]
        return values
