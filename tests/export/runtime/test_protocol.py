"""Each runtime keeps the protocol: the same embeddings, from any batch and any thread, and clear refusals."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from src.contracts.errors import BundleError, LookalikeError
from src.export.runtime import EncoderRuntime, OnnxEncoder, OpenvinoEncoder

KINDS: dict[str, Callable[..., EncoderRuntime]] = {"onnx": OnnxEncoder, "openvino": OpenvinoEncoder}
PACKAGES = {"onnx": "onnxruntime", "openvino": "openvino"}


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def runtime(kind: str, onnx_file: Path) -> EncoderRuntime:
    return KINDS[kind](onnx_file, threads=1)


@pytest.mark.parametrize("batch", [1, 2, 5, 20])
def test_any_batch_gives_what_torch_gives(
    runtime: EncoderRuntime, pixels: np.ndarray, expected: np.ndarray, batch: int
) -> None:
    vectors = runtime.embed(pixels[:batch])
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, expected[:batch], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("batch", [1, 5])
def test_norms_are_those_before_l2(runtime: EncoderRuntime, pixels: np.ndarray, norms: np.ndarray, batch: int) -> None:
    assert runtime.has_norms
    vectors, found = runtime.embed_with_norms(pixels[:batch])
    np.testing.assert_array_equal(vectors, runtime.embed(pixels[:batch]))
    np.testing.assert_allclose(found, norms[:batch], rtol=1e-5)
    assert found.shape == (batch,)
    assert np.abs(found - 1).min() > 0.01


def test_a_graph_of_before_gives_the_same_embeddings_and_says_that_it_has_no_norms(
    runtime: EncoderRuntime, kind: str, old_onnx_file: Path, pixels: np.ndarray
) -> None:
    old = KINDS[kind](old_onnx_file, threads=1)
    assert not old.has_norms
    vectors, norms = old.embed_with_norms(pixels)
    np.testing.assert_array_equal(vectors, runtime.embed(pixels))
    assert np.isnan(norms).all()
    assert norms.shape == (20,)


def test_pixels_that_do_not_fit_are_refused(runtime: EncoderRuntime, pixels: np.ndarray) -> None:
    assert runtime.size == 32
    for wrong in (pixels.astype(np.float32), pixels[:, :16], pixels[0], pixels.transpose(0, 3, 1, 2)):
        with pytest.raises(LookalikeError, match=r"the encoder takes uint8 of \(images, \*\(32, 32, 3\)\)"):
            runtime.embed(wrong)


def test_pixels_need_not_lie_in_one_piece(runtime: EncoderRuntime, pixels: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(runtime.embed(pixels[::-2]), expected[::-2], atol=1e-5)


def test_threads_get_their_own_answers(runtime: EncoderRuntime, pixels: np.ndarray, expected: np.ndarray) -> None:
    chosen = np.random.default_rng(0).integers(0, 20, 200)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda row: runtime.embed(pixels[[row]])[0], chosen))
    np.testing.assert_allclose(found, expected[chosen], atol=1e-5)


def test_an_answer_stays_when_the_next_is_made(runtime: EncoderRuntime, pixels: np.ndarray) -> None:
    first = runtime.embed(pixels[:2])
    before = first.copy()
    runtime.embed(pixels[2:4])
    np.testing.assert_array_equal(first, before)


def test_a_file_that_is_no_graph_is_refused(kind: str, tmp_path: Path) -> None:
    (tmp_path / "encoder.onnx").write_bytes(b"no graph")
    for name in ("encoder.onnx", "absent.onnx"):
        with pytest.raises(BundleError, match="not a loadable ONNX encoder"):
            KINDS[kind](tmp_path / name)


def test_what_is_not_installed_is_said(kind: str, onnx_file: Path, repository: Path) -> None:
    code = (
        f"import sys; sys.modules[{PACKAGES[kind]!r}] = None\n"
        "from pathlib import Path\n"
        f"from src.export.runtime import {KINDS[kind].__name__} as Encoder, RuntimeAbsentError\n"
        "try:\n"
        f"    Encoder(Path({str(onnx_file)!r}))\n"
        "except RuntimeAbsentError as error:\n"
        "    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True)
    assert "cannot be imported" in done.stdout
    assert "install `.[cpu]`" in done.stdout
