"""Which variant a user gets: a function of salts and the user's id alone, so that all processes agree without a store.

A *layer* places each user on a line from 0 to 1. Experiments of one layer own stretches of it that do not overlap: a
user is in at most one of them. Layers have salts of their own, so that experiments of different layers are
independent. Where a user stands on the line decides whether he takes part; a second hash, salted by the experiment,
decides the variant. So raising the share of traffic adds users and moves nobody.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

from src.contracts.errors import ConfigError

__all__ = ["Assigned", "Experiment", "check_layer", "place"]


@dataclass(frozen=True)
class Assigned:
    """What a user gets.

    Attributes:
        variant: its name.
        propensity: the probability with which users of the experiment get it.
    """

    variant: str
    propensity: float


@dataclass(frozen=True)
class Experiment:
    """One experiment of a layer.

    Attributes:
        name: also the salt of the variants: use a new one for each experiment.
        variants: weight of each variant, the control first; their sum is 1. Fixed while the experiment runs.
        layer: name of the layer, also its salt.
        start: where its stretch of the layer begins, from 0.
        end: where it ends, at most 1.
        traffic: share of the stretch that takes part; may be raised while the experiment runs.
    """

    name: str
    variants: Mapping[str, float] = field(default_factory=lambda: {"control": 0.5, "treated": 0.5})
    layer: str = "search"
    start: float = 0.0
    end: float = 1.0
    traffic: float = 1.0

    def __post_init__(self) -> None:
        problems = []
        if len(self.variants) < 2 or any(weight <= 0 for weight in self.variants.values()):
            problems.append(f"variants={dict(self.variants)}: at least two, each of a positive weight")
        elif abs(sum(self.variants.values()) - 1) > 1e-9:
            problems.append(f"variants={dict(self.variants)}: the weights must sum to 1")
        if not 0 <= self.start < self.end <= 1:
            problems.append(f"start={self.start}, end={self.end}: must be 0 <= start < end <= 1")
        if not 0 <= self.traffic <= 1:
            problems.append(f"traffic={self.traffic}: must be from 0 to 1")
        if not self.name or not self.layer:
            problems.append("name and layer must not be empty: they are the salts")
        if problems:
            raise ConfigError(f"experiment {self.name!r}: " + "; ".join(problems))

    def assign(self, unit: str) -> Assigned | None:
        """The variant of a user (or another unit); None where it takes no part."""
        at = place(self.layer, unit)
        if not self.start <= at < self.start + self.traffic * (self.end - self.start):
            return None
        names, ends = [*self.variants], [*accumulate(self.variants.values())]
        # The weights' sum may fall short of 1 by rounding: the last variant has the rest.
        variant = names[bisect_right(ends[:-1], place(self.name, unit))]
        return Assigned(variant, self.variants[variant])


def place(salt: str, unit: str) -> float:
    """A number in [0, 1) for a unit: the first 53 bits of SHA-256 of the salt, a zero byte and the unit."""
    digest = hashlib.sha256(f"{salt}\0{unit}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def check_layer(experiments: Iterable[Experiment]) -> None:
    """Refuse experiments that share users or salts.

    Raises:
        ConfigError: a name repeats or is a layer's, or two stretches of one layer overlap.
    """
    experiments = list(experiments)
    layers = {each.layer for each in experiments}
    names = [each.name for each in experiments]
    problems = [f"name {name!r} stands twice" for name in sorted({name for name in names if names.count(name) > 1})]
    problems += [f"name {name!r} is a layer's; a salt must be used once" for name in sorted(layers & {*names})]
    for layer in sorted(layers):
        for one, next_one in pairwise(sorted((e for e in experiments if e.layer == layer), key=lambda e: e.start)):
            if next_one.start < one.end:
                problems.append(f"{one.name!r} and {next_one.name!r} overlap in layer {layer!r}; move start or end")
    if problems:
        raise ConfigError("experiments: " + "; ".join(problems))
