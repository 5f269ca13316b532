"""The figures that gates judge, and the gates."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from src.contracts.errors import GateError
from src.contracts.settings import GateSettings
from src.export.onnx_export import export_onnx
from src.export.parity import Parity, check_parity, measure_parity
from src.export.runtime import OnnxEncoder

LIMITS = {"precision": "fp32", "gates": GateSettings()}


def test_a_faithful_export_passes_the_gate(
    onnx_file: Path, pixels: np.ndarray, expected: np.ndarray, norms: np.ndarray
) -> None:
    parity = measure_parity(pixels, expected, OnnxEncoder(onnx_file), norms=norms)
    assert parity.images == 20
    assert parity.max_abs < 1e-5
    assert parity.centred_cosine > 0.99999
    check_parity(parity, **LIMITS)


def test_perturbed_weights_fail_the_gate_by_what_they_are_off(
    encoder, spec, pixels: np.ndarray, expected: np.ndarray, norms: np.ndarray, tmp_path: Path
) -> None:
    changed = copy.deepcopy(encoder)
    with torch.no_grad():
        for parameter in changed.head.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
    export_onnx(changed, spec, tmp_path / "encoder.onnx")
    runtime = OnnxEncoder(tmp_path / "encoder.onnx")
    parity = measure_parity(pixels, expected, runtime, norms=norms)
    assert parity.max_abs == pytest.approx(np.abs(runtime.embed(pixels) - expected).max())
    with pytest.raises(GateError, match="differs from torch on 20 images") as caught:
        check_parity(parity, **LIMITS)
    assert f"max_abs is {parity.max_abs:.3g}, the limit is 1e-05 (off by" in str(caught.value)
    assert "norm_error" not in str(caught.value)


class Fixed:
    """A runtime that gives prepared answers, and others for single images."""

    def __init__(self, together: np.ndarray, alone: np.ndarray | None = None) -> None:
        self.answers = {len(together): together}
        self.norms = np.full(len(together), 2.0)
        self.alone = iter(together if alone is None else alone)

    def embed(self, pixels: np.ndarray) -> np.ndarray:
        return next(self.alone)[None] if len(pixels) == 1 else self.answers[len(pixels)]

    def embed_with_norms(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.embed(pixels), self.norms


def test_figures_are_those_of_a_slow_reference() -> None:
    rng = np.random.default_rng(0)
    true, ours, alone = (rng.standard_normal((6, 4)).astype(np.float32) for _ in range(3))
    parity = measure_parity(
        np.zeros((6, 1, 1, 3), np.uint8), true, Fixed(ours, alone), norms=np.array([2, 2.2, 2, 2, 1.6, 2])
    )
    mean = true.mean(axis=0)
    cosines = [
        np.dot(a - mean, b - mean) / np.linalg.norm(a - mean) / np.linalg.norm(b - mean)
        for a, b in zip(ours, true, strict=True)
    ]
    assert parity.max_abs == pytest.approx(max(abs(a - b) for a, b in zip(ours.flat, true.flat, strict=True)))
    assert parity.batch_max_abs == pytest.approx(np.abs(ours - alone).max())
    assert parity.centred_cosine == pytest.approx(min(cosines), abs=1e-6)
    assert parity.scale_error == pytest.approx(0.25)
    assert parity.norm_error == pytest.approx(max(abs(np.linalg.norm(a) - 1) for a in ours), abs=1e-6)


def test_damage_that_the_plain_cosine_hides_is_seen() -> None:
    rng = np.random.default_rng(0)
    # Embeddings that cluster: all within a few degrees.
    true = np.ones((8, 16)) + 0.01 * rng.standard_normal((8, 16))
    true = (true / np.linalg.norm(true, axis=1, keepdims=True)).astype(np.float32)
    swapped = np.roll(true, 1, axis=0)
    assert (true * swapped).sum(axis=1).min() > 0.999
    assert (
        measure_parity(np.zeros((8, 1, 1, 3), np.uint8), true, Fixed(swapped), norms=np.full(8, 2)).centred_cosine < 0.9
    )


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("where", ["true", "ours"])
def test_one_image_without_numbers_fails_every_gate(precision: str, where: str) -> None:
    true = np.eye(4, dtype=np.float32)
    pair = {"true": true, "ours": true.copy()}
    pixels, norms = np.zeros((4, 1, 1, 3), np.uint8), np.full(4, 2)
    check_parity(
        measure_parity(pixels, true, Fixed(pair["ours"]), norms=norms),
        precision=precision,
        gates=GateSettings(),
    )
    pair[where][2] = np.nan
    with pytest.raises(GateError, match="centred_cosine is nan"):
        check_parity(
            measure_parity(pixels, pair["true"], Fixed(pair["ours"]), norms=norms),
            precision=precision,
            gates=GateSettings(),
        )


def test_an_engine_is_named() -> None:
    with pytest.raises(GateError, match=r"the engine encoder\.sm90\.plan differs .*leave it out of `engines`"):
        check_parity(
            Parity(**{**GOOD, "centred_cosine": 0.5}),
            precision="fp16",
            gates=GateSettings(),
            engine="encoder.sm90.plan",
        )


GOOD = {
    "images": 4,
    "max_abs": 0.0,
    "cosine_distance": 0.0,
    "centred_cosine": 1.0,
    "batch_max_abs": 0.0,
    "batch_distance": 0.0,
    "norm_error": 0.0,
    "scale_error": 0.0,
}
EVERYWHERE = ["centred_cosine", "batch_distance", "norm_error", "scale_error"]
JUDGED = {
    "fp32": [*EVERYWHERE, "max_abs", "batch_max_abs"],
    "fp16": [*EVERYWHERE, "cosine_distance"],
    "int8": EVERYWHERE,
}


@pytest.mark.parametrize(("precision", "name"), [(kind, name) for kind, names in JUDGED.items() for name in names])
@pytest.mark.parametrize("value", [float("nan"), 0.5])
def test_each_figure_is_judged_and_nan_misses_every_limit(precision: str, name: str, value: float) -> None:
    check_parity(Parity(**GOOD), precision=precision, gates=GateSettings())
    with pytest.raises(GateError, match=f"exported {precision} encoder .*{name} is {value:.3g}"):
        check_parity(Parity(**{**GOOD, name: value}), precision=precision, gates=GateSettings())


@pytest.mark.parametrize(
    ("precision", "figures", "fix"),
    [
        ("fp32", {"max_abs": 2e-5}, "the limit is 1e-05 (off by 1e-05)"),
        ("fp16", {"centred_cosine": 0.998}, "the limit is 0.999 (off by 0.001); set `precision=fp32`"),
        ("fp16", {"cosine_distance": 2e-4}, "the limit is 0.0001 (off by 0.0001); set `precision=fp32`"),
        ("int8", {"centred_cosine": 0.98}, "off by 0.01); set `precision=fp16`, or raise `calibration_images`"),
    ],
)
def test_the_limits_are_those_of_the_precision(precision: str, figures: dict[str, float], fix: str) -> None:
    with pytest.raises(GateError) as caught:
        check_parity(Parity(**{**GOOD, **figures}), precision=precision, gates=GateSettings())
    assert fix in str(caught.value)


def test_a_coarser_precision_may_be_further_off() -> None:
    gates = GateSettings()
    check_parity(Parity(**{**GOOD, "max_abs": 1e-3, "centred_cosine": 0.9995}), precision="fp16", gates=gates)
    check_parity(Parity(**{**GOOD, "cosine_distance": 0.01, "centred_cosine": 0.995}), precision="int8", gates=gates)
