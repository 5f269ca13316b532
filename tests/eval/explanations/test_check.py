"""The check as a whole: it passes where it should and fails where it must."""

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from src.eval.checkpoint_comparison import Difference
from src.eval.explanations import pairs as pairs_module
from src.eval.explanations.check import main
from src.eval.explanations.masked_pairs import MaskedPairs
from src.eval.explanations.method_checks import DomainCheck, check_method, failures
from src.eval.intervals import Interval
from src.models.checkpoint import CARD
from tests.eval.explanations.planted import SPEC, color_seer, patches, tiny_cnn

GOOD = DomainCheck(
    method="grad_cam",
    domain="user",
    pointing=Interval(0.9, 0.85, 0.95, 100, 50),
    random=0.2,
    centre=Interval(0.7, 0.6, 0.8, 100, 50),
    over_random=Difference(0.7, 0.6, 0.8),
    over_centre=Difference(0.2, 0.1, 0.3),
    energy=Interval(0.7, 0.6, 0.8, 100, 50),
    destroyed_pointing=0.3,
    correlations={"0.25": 0.6, "0.5": 0.5, "0.75": 0.3, "1": 0.1},
)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"over_centre": Difference(0.1, -0.01, 0.21)},
            r"minus the centre baseline is \+0\.100 \(-0\.010 to \+0\.210\)",
        ),
        ({"over_random": Difference(0.1, 0.0, 0.2)}, "minus the random baseline"),
        ({"over_centre": Difference(0.0, reason="equal")}, "no interval"),
        (
            {"correlations": {"0.5": 0.3, "1": 0.51}},
            r"with 100% of the layers randomised the maps still correlate by 0\.51",
        ),
        ({"correlations": {"0.5": 0.95, "1": 0.0}}, "with 50% of the layers randomised"),
    ],
)
def test_each_gate_can_fail(changes: dict, message: str) -> None:
    assert failures(GOOD) == []
    problems = failures(replace(GOOD, **changes))
    assert len(problems) == 1
    assert re.search(message, problems[0])


def planted(count: int) -> MaskedPairs:
    query, query_masks = patches(count, color=0, seed=1)
    result, result_masks = patches(count, color=0, seed=2)
    return MaskedPairs((query, result), (query_masks, result_masks), np.array([str(n // 2) for n in range(count)]))


def test_a_network_that_sees_the_object_passes_and_its_figures_are_counted() -> None:
    checks = check_method(color_seer(), planted(24), "grad_cam", randomised=8)
    assert [one.domain for one in checks] == ["user", "catalogue"]
    for one, masks in zip(checks, planted(24).masks, strict=True):
        assert one.pointing.value == 1
        assert one.random == pytest.approx(64 / 32**2)
        assert one.centre.value == pytest.approx(masks[:, 16, 16].mean())
        assert one.over_centre.value == pytest.approx(1 - masks[:, 16, 16].mean())
        assert one.over_centre.low > 0
        assert one.over_random.value == pytest.approx(1 - 64 / 32**2)
        assert set(one.correlations) == {"0.25", "0.5", "0.75", "1"}
        assert json.dumps(asdict(one))


def test_a_map_that_is_not_read_from_the_network_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def brightness(_encoder: object, pixels: torch.Tensor, _other: torch.Tensor) -> torch.Tensor:
        return pixels.float().std(dim=3)

    monkeypatch.setitem(pairs_module.METHODS, "brightness", brightness)
    checks = check_method(color_seer(), planted(24), "brightness", randomised=8)
    # It points at the object, which is why pointing alone proves little.
    assert checks[0].pointing.value == 1
    assert checks[0].correlations["1"] == pytest.approx(1)
    assert sum("with 100% of the layers randomised" in problem for one in checks for problem in failures(one)) == 2


def test_the_command_refuses_an_untrained_network(data_settings, tmp_path: Path, capsys) -> None:
    data = asdict(data_settings(reader="shop", split_by="given", root=str(tmp_path / "shop")))
    model = {"backbone": "resnet10t", "backbone_kwargs": {"channels": [8, 8, 16, 16]}}
    card = {
        "format": 1,
        "name": "untrained",
        "model": {**model, "hidden_dim": 16, "embedding_dim": 8},
        "preprocessing": SPEC.to_dict(),
        "data": data,
    }
    state = {f"encoder.{name}": value for name, value in tiny_cnn().state_dict().items()}
    torch.save({CARD: card, "state_dict": state}, tmp_path / "new.ckpt")
    output = tmp_path / "deep" / "check.json"
    arguments = ["--checkpoint", str(tmp_path / "new.ckpt"), "--pairs", "12", "--randomised", "4"]
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--method", "grad_cam", "--output", str(output)])
    printed = capsys.readouterr()
    assert ended.value.code == 2
    assert "error: explanations that failed their checks" in printed.err
    assert "untrained: explanations of 12 pairs, test split" in printed.out
    record = json.loads(output.read_text())
    assert (record["split"], record["pairs"], record["passed"]) == ("test", 12, False)
    assert [one["domain"] for one in record["checks"]] == ["user", "catalogue"]
    assert [path.name for path in output.parent.iterdir()] == ["check.json"]
    with pytest.raises(SystemExit) as ended:
        main(["--checkpoint", str(tmp_path / "absent.ckpt")])
    assert ended.value.code == 2
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--pairs", "0"])
    assert ended.value.code == 2
