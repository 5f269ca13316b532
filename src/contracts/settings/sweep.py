"""Settings of a sweep: what stands under `hydra.sweeper` with `sweep=NAME`."""

from dataclasses import dataclass, field
from typing import Any

from src.contracts.settings._problems import below, raise_all

__all__ = ["PRUNERS", "SAMPLERS", "SweepSettings"]

SAMPLERS = ("tpe", "random", "gp", "grid")
"""Who proposes trials: Optuna's samplers; `grid` is every combination once."""

PRUNERS = ("median", "hyperband", "halving", "none")
"""Who ends a trial early: Optuna's pruners."""

_PROPOSED_AT_ONCE = ("grid", "random")


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
        rungs: shares of the epochs after which trials are compared, and those that are worse than the best are dropped:
            a race. It proposes all trials before the first is trained. Empty: no race.
        risk: of a race: largest probability with which it drops the best trial.
        metric: of metrics.json, to be as large as possible.
        milliseconds: a second objective, to be as small as possible: the encoder's time an image. The sweep then looks
            for the front of trials that no other beats in both.
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
    rungs: list[float] = field(default_factory=list)
    risk: float = 0.05
    metric: str = "recall@1"
    milliseconds: bool = False
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
        if any(not 0 < rung < 1 for rung in self.rungs) or self.rungs != sorted({*self.rungs}):
            problems.append(
                f"`hydra.sweeper.rungs={self.rungs}`: shares above 0 and below 1, each larger than the last"
            )
        if not 0 < self.risk < 0.5:
            problems.append(f"`hydra.sweeper.risk={self.risk}`: must be above 0 and below 0.5")
        if self.rungs and self.sampler not in _PROPOSED_AT_ONCE:
            names = " or ".join(_PROPOSED_AT_ONCE)
            problems.append(
                f"`hydra.sweeper.sampler={self.sampler}`: a race's trials are proposed at once; set {names}"
            )
        if self.rungs and self.pruner != "none":
            problems.append(f"`hydra.sweeper.pruner={self.pruner}`: a race drops trials itself; set none")
        if self.milliseconds and (self.rungs or self.pruner != "none"):
            problems.append(
                "`hydra.sweeper.milliseconds=true`: trials that are best in one of two objectives cannot be dropped by "
                "the other; set hydra.sweeper.pruner=none hydra.sweeper.rungs=[]"
            )
        raise_all(problems)
