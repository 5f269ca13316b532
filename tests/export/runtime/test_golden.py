"""Golden images: pixels and embeddings of another machine are recognised."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from src.contracts.bundle import ENCODER, GOLDEN, Bundle, open_bundle, staged_bundle
from src.contracts.errors import BundleError
from src.contracts.image_header import read_header
from src.contracts.preprocessing import PreprocessingSpec, preprocess
from src.export.runtime import OnnxEncoder, RuntimeAbsentError, choice, open_encoder
from src.export.runtime.golden import golden_images, read_golden, write_golden


def ones(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.ones((len(pixels), 4), np.float32), np.ones(len(pixels))


@pytest.fixture(scope="module")
def bundle(onnx_file: Path, spec: PreprocessingSpec, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    root = tmp_path_factory.mktemp("golden") / "bundle"
    with staged_bundle(root) as draft:
        (draft.root / ENCODER).write_bytes(onnx_file.read_bytes())
        write_golden(draft.root / GOLDEN, spec, OnnxEncoder(onnx_file, threads=1).embed_with_norms)
        draft.content |= {"preprocessing": spec.to_dict(), "precision": "fp32"}
    return open_bundle(root)


def test_the_images_are_the_same_each_time_and_small() -> None:
    full = PreprocessingSpec(decoding="full")
    images = golden_images(full)
    assert images == golden_images(full)
    assert len(set(images)) == len(images) == 8
    assert sum(map(len, images)) < 200_000


@pytest.mark.parametrize("size", [32, 224, 512])
@pytest.mark.parametrize(("resize", "crop_fraction"), [("crop", 1.0), ("crop", 0.875), ("pad", 1.0), ("squash", 1.0)])
def test_each_scale_of_decoding_has_an_image(resize: str, crop_fraction: float, size: int) -> None:
    spec = PreprocessingSpec(size=size, resize=resize, crop_fraction=crop_fraction)
    images = golden_images(spec)
    assert images[:8] == golden_images(replace(spec, decoding="full"))
    scales = [read_header(data).divisor(spec) for data in images[8:]]
    assert scales == ([2, 4] if size < 512 else [2] if crop_fraction == 1 else [])
    assert sum(map(len, images)) < 600_000


def test_a_bundle_of_before_reduced_decoding_still_starts(tmp_path: Path) -> None:
    """Its spec names no decoding, and its images are the eight of then."""
    spec = PreprocessingSpec(size=48, decoding="full")
    write_golden(tmp_path / "golden.npz", spec, ones)
    golden = read_golden(tmp_path / "golden.npz")
    assert len(golden.images) == 8
    of_then = {name: value for name, value in spec.to_dict().items() if name != "decoding"}
    assert of_then == spec.to_dict()
    golden.pixels(PreprocessingSpec.from_dict(of_then))
    with pytest.raises(BundleError, match="golden image"):
        golden.pixels(PreprocessingSpec(size=48))


@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
def test_pixels_made_here_are_the_same(tmp_path: Path, resize: str) -> None:
    spec = PreprocessingSpec(size=48, resize=resize)
    write_golden(tmp_path / "a.npz", spec, ones)
    write_golden(tmp_path / "b.npz", spec, ones)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    golden = read_golden(tmp_path / "a.npz")
    np.testing.assert_array_equal(golden.pixels(spec)[4], preprocess(golden_images(spec)[4], spec))


@pytest.mark.parametrize("change", [{"interpolation": "bilinear"}, {"resize": "crop"}, {"size": 31}])
def test_other_pixels_are_refused(bundle: Bundle, spec: PreprocessingSpec, change: dict) -> None:
    """As a decoder or a resizer of another version would give."""
    other = PreprocessingSpec.from_dict({**{k: v for k, v in spec.to_dict().items() if k != "hash"}, **change})
    with pytest.raises(BundleError, match=r"golden image 0: its pixels hash to \w+ here, to \w+ where the bundle was"):
        read_golden(bundle.path(GOLDEN)).pixels(other)


def test_the_encoder_that_was_exported_starts(bundle: Bundle) -> None:
    encoder = open_encoder(bundle, runtime="onnxruntime", threads=1)
    assert choice.check_start(bundle, encoder) == pytest.approx(1, abs=1e-5)


def test_norms_are_stored_and_an_archive_of_before_has_none(bundle: Bundle, tmp_path: Path) -> None:
    golden = read_golden(bundle.path(GOLDEN))
    encode = open_encoder(bundle, runtime="onnxruntime", threads=1).embed_with_norms
    np.testing.assert_allclose(golden.norms, encode(golden.pixels(bundle.preprocessing))[1], rtol=1e-4)
    with np.load(bundle.path(GOLDEN), allow_pickle=False) as stored:
        np.savez(tmp_path / "old.npz", **{name: stored[name] for name in stored.files if name != "norms"})
    old = read_golden(tmp_path / "old.npz")
    np.testing.assert_array_equal(old.embeddings, golden.embeddings)
    assert np.isnan(old.norms).all()


class Wrong(OnnxEncoder):
    """Computes, but not what it should."""

    def embed(self, pixels: np.ndarray) -> np.ndarray:
        vectors = super().embed(pixels)
        vectors[0] = np.roll(vectors[0], 1)
        return vectors


class Broken(OnnxEncoder):
    def embed(self, pixels: np.ndarray) -> np.ndarray:
        return np.full_like(super().embed(pixels), np.nan)


class Dead(OnnxEncoder):
    def embed(self, pixels: np.ndarray) -> np.ndarray:
        return np.zeros_like(super().embed(pixels))


class Failing(OnnxEncoder):
    def embed(self, pixels: np.ndarray) -> np.ndarray:
        raise RuntimeError("CUDA: out of memory")


def test_a_runtime_that_fails_is_passed_over(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    order = {"first": lambda files: Failing(files.graph, threads=1), "second": choice.RUNTIMES["onnxruntime"]}
    monkeypatch.setattr(choice, "_ORDER", order)
    with caplog.at_level("INFO"):
        assert type(open_encoder(bundle)) is OnnxEncoder
    assert "fails on the golden images (CUDA: out of memory)" in caplog.text


@pytest.mark.parametrize("kind", [Wrong, Broken, Dead])
def test_a_runtime_that_computes_something_else_is_passed_over(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kind: type[OnnxEncoder]
) -> None:
    def wrong(files) -> OnnxEncoder:
        return kind(files.graph, threads=1)

    monkeypatch.setattr(choice, "_ORDER", {"first": wrong, "second": choice.RUNTIMES["onnxruntime"]})
    with caplog.at_level("INFO"):
        assert type(open_encoder(bundle)) is OnnxEncoder
    assert "passed over: first: ONNX Runtime" in caplog.text
    assert "embeds the golden images with a centred cosine of" in caplog.text
    monkeypatch.setattr(choice, "_ORDER", {"first": wrong})
    with pytest.raises(RuntimeAbsentError, match=r"the limit is 0\.999 \(off by"):
        open_encoder(bundle)


def test_a_collapsed_encoder_is_the_same_encoder(tmp_path: Path, spec: PreprocessingSpec) -> None:
    """All its embeddings are equal: what is left of them without their mean is noise."""
    rng = np.random.default_rng(0)

    def collapsed(pixels: np.ndarray) -> np.ndarray:
        return (np.full((len(pixels), 4), 0.5) + 1e-8 * rng.standard_normal((len(pixels), 4))).astype(np.float32)

    write_golden(tmp_path / "golden.npz", spec, lambda pixels: (collapsed(pixels), np.ones(len(pixels))))
    golden = read_golden(tmp_path / "golden.npz")
    assert golden.centred_cosine(collapsed(golden.pixels(spec))) > 0.999


def test_what_are_no_golden_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "golden.npz").write_bytes(b"no archive")
    np.savez(tmp_path / "other.npz", pixels_hash=np.array(["a"]))
    np.savez(tmp_path / "pickled.npz", pixels_hash=np.array([{"a": 1}], dtype=object), allow_pickle=True)
    for name in ("golden.npz", "other.npz", "pickled.npz", "absent.npz"):
        with pytest.raises(BundleError, match="not readable golden images"):
            read_golden(tmp_path / name)
