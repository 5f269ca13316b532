"""Settings of a sweep: what stands under `hydra.sweeper` with `sweep=NAME`."""

from dataclasses import dataclass, field
from typing import Any

from src.contracts.settings._problems import below, raise_all

__all__ = ["PRUNERS", "SAMPLERS", "SweepSettings"]

SAMPLERS = ("tpe", "random", "gp", "grid")
"""Who proposes trials: Optuna's samplers; `grid` is every combination once."""

PRUNERS = ("median", "hyperband", "halving", "none")
"""Who ends a trial early: Optuna's pruners."""


@dataclass
class SweepSettings:
    """A sweep. The objective is measured on the validation split, never on the test split.

    Attributes:
        sampler: one of `SAMPLERS`.
        sampler_options: further arguments of Optuna's sampler.
        sampler_seed: of the sampler; a sweep that is continued draws on from there.
        pruner: one of `PRUNERS`; it looks at the metric after each validation of a trial's first seed.
        pruner_options: further arguments of Optuna's pruner.
        trials: how many are finished, pruned or failed before the sweep ends; `grid` has as many as combinations.
        parallel: trials that are launched together; what runs side by side is the launcher's.
        seeds: of the training, a run each; the objective is their mean. Pruning goes by the first.
        metric: of metrics.json, to be as large as possible.
        failures: trials that fail in a row before the sweep is given up.
        params: what is searched, in Hydra's words: `optim.lr: tag(log, interval(1e-4, 1e-2))`, `data.p: range(8, 33,
            step=8)`, `loss: choice(triplet, infonce)`. The command line's take their place.
    """

    sampler: str = "tpe"
    sampler_options: dict[str, Any] = field(default_factory=dict)
    sampler_seed: int = 0
    pruner: str = "median"
    pruner_options: dict[str, Any] = field(default_factory=dict)
    trials: int = 20
    parallel: int = 1
    seeds: list[int] = field(default_factory=lambda: [0])
    metric: str = "recall@1"
    failures: int = 5
    params: dict[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        """Raise `ConfigError` with everything that cannot work."""
        problems = below(self, "hydra.sweeper", {"trials": 1, "parallel": 1, "failures": 1, "sampler_seed": 0})
        for name, known in (("sampler", SAMPLERS), ("pruner", PRUNERS)):
            if getattr(self, name) not in known:
                problems.append(f"`hydra.sweeper.{name}={getattr(self, name)}`: must be one of {', '.join(known)}")
        if not self.seeds or len({*self.seeds}) < len(self.seeds):
            problems.append(f"`hydra.sweeper.seeds={self.seeds}`: at least one, and each once")
        raise_all(problems)
