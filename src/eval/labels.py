"""Short names of runs, from what distinguishes their configs."""

from collections.abc import Mapping, Sequence

__all__ = ["distinguishing_labels", "run_name"]

_NOT_SET = "not set"
_UNTOLD = (
    "callbacks", "data.cache", "data.root", "data.shop", "data.workers", "debug", "experiment", "hydra", "logger",
    "name", "seed", "sweep", "trainer.accelerator", "trainer.checkpoint_every", "trainer.devices",
    "trainer.eval_batch", "trainer.pause_at", "trainer.resume", "trust",
)  # fmt: skip
"""Overrides that say where and how a run is made, not what it trains; and those that a name holds anyway."""

_LONGEST = 100
"""Characters of a run's name; Weights & Biases takes 128, with the seed and what an export adds."""


def distinguishing_labels(configs: Sequence[Mapping[str, str]]) -> list[str]:
    """The shortest labels that tell configs apart: few keys, names before numbers.

    Keys are taken in the configs' order where they distinguish configs that those before do not, so that a miner that
    changes with the loss is not named.

    Args:
        configs: resolved, by dotted names; equal ones get equal labels.

    Returns:
        A label for each, empty where all are equal.

    >>> distinguishing_labels(
    ...     [
    ...         {"loss": "triplet", "miner": "batch_hard", "optim.lr": "0.0003", "optim.weight_decay": "0.01"},
    ...         {"loss": "triplet", "miner": "batch_hard", "optim.lr": "0.001", "optim.weight_decay": "0.01"},
    ...         {"loss": "infonce", "miner": "none", "optim.lr": "0.001", "optim.weight_decay": "0.01"},
    ...     ]
    ... )
    ['triplet, lr 3e-4', 'triplet, lr 1e-3', 'infonce, lr 1e-3']
    """
    keys = [*dict.fromkeys(key for config in configs for key in config)]
    values = {key: [config.get(key, _NOT_SET) for config in configs] for key in keys}
    chosen: list[str] = []
    groups: list[tuple[str, ...]] = [()] * len(configs)

    def rank(key: str) -> tuple[bool, bool]:
        return _is_untold(key), all(_is_number(value) for value in values[key] if value != _NOT_SET)

    # A sort keeps the order of equals.
    for key in sorted(keys, key=rank):
        finer = [(*group, value) for group, value in zip(groups, values[key], strict=True)]
        if len({*finer}) > len({*groups}):
            chosen, groups = [*chosen, key], finer
    shorts = _short_keys(chosen)
    return [", ".join(_part(shorts[key], key, values[key][n]) for key in chosen) for n in range(len(configs))]


def run_name(name: str, overrides: Sequence[str], seed: int) -> str:
    """The name of a single run: its config's name, what was changed on the command line, and the seed.

    Args:
        name: of the config (`name`).
        overrides: of the command line; those that do not change what is trained are left out.
        seed: of the run.

    >>> run_name("grocery", ["data=grocery", "loss=triplet", "optim.lr=3e-4", "data.root=/data/shop"], 1)
    'grocery, triplet, lr 3e-4, seed 1'
    """
    given = dict(override.lstrip("+").partition("=")[::2] for override in overrides)
    told = {key: value for key, value in given.items() if not _is_untold(key)}
    shorts = _short_keys([*told])
    parts = [_part(shorts[key].lstrip("~"), key, "none" if key.startswith("~") else told[key]) for key in told]
    text = ", ".join(dict.fromkeys([name, *parts]))
    return f"{text if len(text) <= _LONGEST else text[: _LONGEST - 3] + '...'}, seed {seed}"


def _is_untold(key: str) -> bool:
    return any(key == each or key.startswith((f"{each}.", f"{each}/")) for each in _UNTOLD)


def _short_keys(keys: Sequence[str]) -> dict[str, str]:
    """The last part of each key, or as many parts as distinguish it from the others."""
    shorts = {}
    for key in keys:
        parts = key.split(".")
        ends = [".".join(parts[-count:]) for count in range(1, len(parts) + 1)]
        others = [f".{other}" for other in keys if other != key]
        shorts[key] = next((end for end in ends if not any(other.endswith(f".{end}") for other in others)), key)
    return shorts


def _part(short: str, key: str, value: str) -> str:
    if value in (_NOT_SET, "none", "null", "None", ""):
        return f"no {short}"
    shown = _short_number(value) if _is_number(value) else value.strip("'\"").rstrip("/").rpartition("/")[2]
    # A component's name says what it is of.
    named = ("." not in key or key.endswith(".name")) and not _is_number(value)
    return shown if named else f"{short} {shown}"


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _short_number(value: str) -> str:
    """Four significant digits, as 3e-4 where that is shorter than 0.0003."""
    plain = f"{float(value):.4g}"
    digits, _, exponent = f"{float(value):.3e}".partition("e")
    power = f"{digits.rstrip('0').rstrip('.')}e{int(exponent)}" if exponent else plain
    return min(plain, power, key=len)
