"""Convert Hydra's sweep overrides to Optuna's distributions."""

from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from src.contracts.errors import ConfigError
from src.contracts.settings.sweep import SweepSettings

__all__ = ["search_space"]


def search_space(
    parser: OverridesParser, settings: SweepSettings, arguments: Sequence[str]
) -> tuple[dict[str, BaseDistribution], list[str]]:
    """Separate the searched keys from the overrides that all trials share.

    Args:
        parser: Hydra's.
        settings: of the sweep; the command line overrides its `params`.
        arguments: the command line's overrides.

    Returns:
        The distribution of each searched key, with choices as strings of overrides; and the shared overrides.

    Raises:
        ConfigError: no key is searched, or a key cannot be searched.
    """
    # The command line comes last and takes precedence.
    overrides = {override.get_key_element(): override for override in _parsed(parser, settings, arguments)}
    space = {key: _distribution(key, each) for key, each in overrides.items() if each.is_sweep_override()}
    fixed = [_as_given(each) for each in overrides.values() if not each.is_sweep_override()]
    if not space:
        raise ConfigError(
            "nothing is searched: write KEY=A,B,C or 'KEY=interval(A,B)' on the command line, or hydra.sweeper.params"
        )
    if "seed" in overrides:
        raise ConfigError("`seed` cannot be searched: set hydra.sweeper.seeds=[0,1,2]; each trial trains once for each")
    return space, fixed


def _parsed(parser: OverridesParser, settings: SweepSettings, arguments: Sequence[str]) -> list[Override]:
    parsed: list[Override] = parser.parse_overrides(
        [*(f"{key}={value}" for key, value in settings.params.items()), *arguments]
    )
    return parsed


def _as_given(override: Override) -> str:
    given = override.input_line
    assert given is not None
    return given


def _distribution(key: str, override: Override) -> BaseDistribution:
    value = override.value()
    tags: set[str] = getattr(value, "tags", set())
    log = "log" in tags
    if tags - {"log"}:
        raise ConfigError(f"`{key}`: the tag {', '.join(tags - {'log'})} is unknown; `log` is known")
    try:
        if isinstance(value, IntervalSweep):
            low, high = value.start, value.end
            assert low is not None
            assert high is not None
            if isinstance(low, int) and isinstance(high, int):
                return IntDistribution(low, high, log=log)
            return FloatDistribution(low, high, log=log)
        choices = [*override.sweep_string_iterator()]
        if isinstance(value, RangeSweep) and all(isinstance(part, int) for part in (value.start, value.step)):
            numbers = sorted(int(choice) for choice in choices)
            return IntDistribution(numbers[0], numbers[-1], step=abs(int(value.step)))
        return CategoricalDistribution(choices)
    except (ValueError, IndexError) as error:
        raise ConfigError(f"`{override.input_line}`: {error}") from error
