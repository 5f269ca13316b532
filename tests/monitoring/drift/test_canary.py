"""Golden images tell a changed encoder, or changed decoding, from changed queries."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from src.contracts.bundle import ENCODER, GOLDEN, Bundle, open_bundle
from src.export.runtime import OnnxEncoder
from src.monitoring.drift.canary import check_canary
from tests.search.small_bundle import altered


@pytest.fixture(scope="module")
def bundle(watched) -> Bundle:
    return open_bundle(watched.root)


def changed(bundle: Bundle, by) -> SimpleNamespace:
    encoder = OnnxEncoder(bundle.path(ENCODER), threads=1)
    return SimpleNamespace(description="fake", embed_with_norms=lambda pixels: by(*encoder.embed_with_norms(pixels)))


def test_the_exported_encoder_passes(bundle: Bundle) -> None:
    found = check_canary(bundle, OnnxEncoder(bundle.path(ENCODER), threads=1))
    assert found is not None
    assert found.problem == ""
    assert found.cosine == pytest.approx(1, abs=1e-5)
    assert found.norm_error == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    ("by", "said"),
    [
        (lambda vectors, norms: (np.roll(vectors, 1, axis=1), norms), "centred cosine is"),
        (lambda vectors, norms: (vectors, 1.05 * norms), "a golden image's norm differs by 5.0%"),
        (lambda vectors, norms: (vectors * np.nan, norms), "centred cosine is nan"),
        (lambda vectors, norms: 1 / 0, r"fails on the golden images \(division by zero\)"),
    ],
)
def test_an_encoder_that_changed_is_named(bundle: Bundle, by, said: str) -> None:
    found = check_canary(bundle, changed(bundle, by))
    assert found is not None
    assert re.search(said, found.problem)


def test_graphs_without_norms_are_judged_by_the_cosine_alone(bundle: Bundle) -> None:
    found = check_canary(bundle, changed(bundle, lambda vectors, norms: (vectors, norms * np.nan)))
    assert found is not None
    assert found.problem == ""
    assert np.isnan(found.norm_error)


def test_other_pixels_are_noticed(watched, bundle: Bundle, tmp_path) -> None:
    with np.load(bundle.path(GOLDEN), allow_pickle=False) as stored:
        arrays = dict(stored)
    arrays["pixels_hash"][2] = "0" * 16
    np.savez(tmp_path / "golden.npz", **arrays)
    other = altered(watched.root, tmp_path / "other", GOLDEN, (tmp_path / "golden.npz").read_bytes())
    found = check_canary(open_bundle(other), OnnxEncoder(bundle.path(ENCODER), threads=1))
    assert found is not None
    assert "golden image 2: its pixels hash to" in found.problem
