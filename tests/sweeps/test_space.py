"""Hydra's words for sweeps as Optuna's distributions."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from hydra_plugins.lookalike_study._space import search_space
from src.contracts.errors import ConfigError
from src.contracts.settings.sweep import SweepSettings


def searched(arguments: list[str], **params: str):
    return search_space(OverridesParser.create(), SweepSettings(params=params), arguments)


@pytest.mark.parametrize(
    ("written", "distribution"),
    [
        ("interval(0.1, 2)", FloatDistribution(0.1, 2.0)),
        ("tag(log, interval(1e-5, 1e-2))", FloatDistribution(1e-5, 1e-2, log=True)),
        ("int(interval(2, 9))", IntDistribution(2, 9)),
        ("tag(log, int(interval(2, 64)))", IntDistribution(2, 64, log=True)),
        ("range(8, 33, step=8)", IntDistribution(8, 32, step=8)),
        ("range(8, 32, step=8)", IntDistribution(8, 24, step=8)),
        ("range(0, 1, step=0.25)", CategoricalDistribution(["0.0", "0.25", "0.5", "0.75"])),
        ("choice(triplet, infonce)", CategoricalDistribution(["triplet", "infonce"])),
        ("light,strong", CategoricalDistribution(["light", "strong"])),
        ("'a b',null,[1,2],{a:1}", CategoricalDistribution(["'a b'", "null", "[1,2]", "{a:1}"])),
    ],
)
def test_each_kind_of_sweep(written: str, distribution) -> None:
    assert searched([f"x.y={written}"])[0] == {"x.y": distribution}
    assert searched([], **{"x.y": written})[0] == {"x.y": distribution}


def test_the_command_line_has_the_last_word() -> None:
    params = {"a": "interval(0, 1)", "b": "1,2", "c": "3"}
    space, fixed = searched(["a=0.5", "b=int(interval(1, 4))", "d='x y'", "+e=1", "~f"], **params)
    assert space == {"b": IntDistribution(1, 4)}
    assert fixed == ["a=0.5", "c=3", "d='x y'", "+e=1", "~f"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a=1"], "nothing is searched"),
        (["a=1,2", "seed=1,2"], r"hydra\.sweeper\.seeds"),
        (["a=1,2", "seed=4"], r"hydra\.sweeper\.seeds"),
        (["a=tag(big, interval(0, 1))"], "the tag big is unknown"),
        (["a=tag(log, interval(0, 1))"], r"tag\(log, interval\(0, 1\)\).*low"),
        (["a=interval(2, 1)"], "interval"),
        (["a=range(3, 3)"], "range"),
    ],
)
def test_what_cannot_be_searched_is_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        searched(arguments)
