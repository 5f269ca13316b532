"""bf16 is taken where it is faithful and quicker, and refused with the reason where it is not."""

import re
from pathlib import Path

import numpy as np
import pytest

from src.catalog.catalogue import open_catalogue
from src.contracts.bundle import ENCODER, GOLDEN, NEIGHBOURS, Bundle, open_bundle, staged_bundle
from src.contracts.preprocessing import PreprocessingSpec
from src.contracts.settings import GateSettings, IndexSettings
from src.export.builder import build_bundle
from src.export.runtime import OnnxEncoder, OpenvinoEncoder, RuntimeAbsentError, bf16_trial, choice, cpu, open_encoder
from src.models.encoder import build_encoder

GATE = 0.98


class Clock:
    """A clock that only the fake encoders move."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


class Fake:
    """An encoder that computes with numbers of few bits, and that takes what it is told to take.

    Args:
        bits: of each number's mantissa, stored ones: 7 are bf16's; 23 change nothing.
        seconds: an image at batch 1, and in larger batches.
        delays: seconds that other work on the machine adds to the first calls.
    """

    def __init__(
        self, graph: Path, clock: Clock, *, bits: int, seconds: tuple[float, float], delays: tuple[float, ...] = ()
    ) -> None:
        self._exact = OnnxEncoder(graph, threads=1)
        self._clock = clock
        self._drop = 23 - bits
        self._seconds = seconds
        self._delays = list(delays)
        self.size = self._exact.size
        self.description = f"fake of {bits} bits"
        self.batches: list[int] = []

    def embed(self, pixels: np.ndarray) -> np.ndarray:
        self.batches.append(len(pixels))
        self._clock.now += len(pixels) * self._seconds[len(pixels) > 1]
        if self._delays:
            self._clock.now += self._delays.pop(0)
        numbers = self._exact.embed(pixels).view(np.uint32)
        half = np.uint32((1 << self._drop) >> 1)
        return ((numbers + half) >> self._drop << self._drop).view(np.float32)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, data_settings, folder_catalogue) -> Bundle:
    """A small ViT with new weights, exported as a user exports it."""
    import torch

    torch.manual_seed(0)
    spec = PreprocessingSpec(size=32)
    small = {"patch_size": 8, "depth": 2, "embed_dim": 64, "num_heads": 4}
    encoder = build_encoder(spec=spec, backbone="vit_tiny_patch16_224", backbone_kwargs=small, head="none").eval()
    root = folder_catalogue(tmp_path_factory.mktemp("trial") / "shop", items=60, images=2)
    return build_bundle(
        tmp_path_factory.mktemp("trial_bundle") / "bundle",
        encoder=encoder,
        spec=spec,
        card={"format": 1, "name": "test"},
        catalogue=open_catalogue(data_settings(root=str(root))),
        index=IndexSettings(),
        evaluation={},
        precision="fp32",
        index_precision="",
        engines=(),
        engine_batch=4,
        gates=GateSettings(min_overlap=GATE),
        parity_images=8,
        overlap_images=30,
        calibration_images=8,
        thumbnail=24,
        batch=32,
    )


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(bf16_trial, "time", clock)
    return clock


@pytest.fixture
def bf16_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpuinfo").write_text("flags : avx2 avx512f avx512_bf16\n")
    monkeypatch.setattr(cpu, "_CPUINFO", tmp_path / "cpuinfo")


@pytest.fixture
def tried(bundle: Bundle, clock: Clock, bf16_cpu: None, caplog: pytest.LogCaptureFixture):
    """Try a fake bf16; returns whether it was taken, the line of the log, and the fake."""

    def run(bits: int, *, seconds=(0.005, 0.004), f32=(0.010, 0.008), delays=(), batch: int = 8, of: Bundle = bundle):
        exact = Fake(bundle.path(ENCODER), clock, bits=23, seconds=f32)
        coarse = Fake(bundle.path(ENCODER), clock, bits=bits, seconds=seconds, delays=delays)
        caplog.clear()
        with caplog.at_level("INFO"):
            taken = bf16_trial.try_bf16(
                exact,
                lambda: coarse,
                bundle=of,
                check=lambda encoder: choice.check_start(of, encoder, bf16=True),
                batch=batch,
            )
        (line,) = [record.message for record in caplog.records]
        assert taken in (exact, coarse)
        return taken is coarse, line, coarse

    return run


def without(bundle: Bundle, root: Path, *files: str, gates: dict | None = None) -> Bundle:
    with staged_bundle(root) as draft:
        for name in bundle.content["files"]:
            if name not in files:
                (draft.root / name).write_bytes(bundle.path(name).read_bytes())
        left = {key: value for key, value in bundle.content.items() if key not in ("files", "gates")}
        draft.content |= left | ({} if gates is None else {"gates": gates})
    return open_bundle(root)


def test_what_is_fine_enough_and_quicker_is_taken(tried) -> None:
    taken, line, _ = tried(10)
    assert taken
    pattern = (
        r"precision: bf16 \(fake of 10 bits\); golden images' centred cosine (0\.9999\d|1\.00000); "
        r"5\.00 ms an image at batch 1, f32 10\.00; 4\.00 ms an image at batch 8, f32 8\.00; "
        r"overlap (0\.99\d\d|1\.0000) of the ten nearest of 24 images, the limit is 0\.98"
    )
    assert re.fullmatch(pattern, line), line


def test_what_is_too_coarse_for_the_neighbours_is_refused(tried, bundle: Bundle, tmp_path: Path) -> None:
    """The golden images alone would have let it pass."""
    taken, line, _ = tried(3, of=without(bundle, tmp_path / "bundle", gates={"min_overlap": 0.995}))
    assert not taken
    assert line.startswith(
        "precision: f32 (fake of 23 bits); bf16 is refused: it finds too few of the neighbours that fp32 finds; "
        "golden images' centred cosine 0.99"
    )
    (overlap,) = re.findall(r"overlap (\d\.\d+) of the ten nearest of 24 images, the limit is 0\.995", line)
    assert 0.9 < float(overlap) < 0.995


@pytest.mark.parametrize("bits", [1, 0])
def test_what_is_too_coarse_for_the_golden_images_is_refused(tried, bits: int) -> None:
    taken, line, _ = tried(bits)
    assert not taken
    assert f"bf16 is refused: fake of {bits} bits embeds the golden images with a centred cosine of 0." in line
    assert "the limit is 0.99" in line
    # Nothing is timed or searched any more.
    assert "ms an image" not in line
    assert "overlap" not in line


def test_the_limit_is_the_exporters(tried, bundle: Bundle, tmp_path: Path) -> None:
    assert tried(3, of=without(bundle, tmp_path / "lax", gates={"min_overlap": 0.9}))[0]
    assert not tried(10, of=without(bundle, tmp_path / "strict", gates={"min_overlap": 1.01}))[0]


@pytest.mark.parametrize(
    ("seconds", "where"),
    [((0.0095, 0.004), 1), ((0.02, 0.004), 1), ((0.005, 0.0075), 8), ((0.005, 0.02), 8), ((0.010, 0.008), 1)],
)
def test_what_is_not_quicker_at_both_batches_is_refused(tried, seconds: tuple[float, float], where: int) -> None:
    taken, line, coarse = tried(10, seconds=seconds)
    assert not taken
    assert f"bf16 is refused: at batch {where} it is not 1.1 times as fast as f32" in line
    assert f"{1e3 * seconds[where == 8]:.2f} ms an image at batch {where}, f32" in line
    # The neighbours, the longest part, are not looked at any more.
    assert "overlap" not in line
    assert len(coarse.batches) < 250


def test_a_slow_encoder_is_timed_on_few_images_for_a_moment(tried, clock: Clock) -> None:
    """As ViT-B/16 is on two cores: what the trial may take beside the golden images and the neighbours."""
    before = clock.now
    taken, line, coarse = tried(10, seconds=(0.08, 0.08), f32=(0.16, 0.16), batch=32)
    assert taken
    assert "at batch 3," in line
    timed = clock.now - before - 0.08 * (8 + 24)
    assert timed < 2.5
    assert max(coarse.batches[1:]) == 8
    assert tried(10, seconds=(1.0, 1.0), f32=(2.0, 2.0))[1].count(" ms an image") == 1


def test_it_is_not_called_slow_for_what_other_work_delays(tried) -> None:
    """The golden images are the first call, the timing at batch 1 the next ones."""
    slow = {"seconds": (0.08, 0.08), "f32": (0.16, 0.16)}
    assert tried(10, delays=(0, 0.2, 0.2, 0.2), **slow)[0]
    taken, line, coarse = tried(10, delays=(0, *[0.2] * 99), **slow)
    assert not taken
    assert "280.00 ms an image at batch 1, f32 160.00" in line
    assert len(coarse.batches) < 10


def test_the_batch_that_is_served_is_timed(tried) -> None:
    assert "ms an image at batch 30, f32" in tried(10, batch=30)[1]
    assert tried(10, batch=1)[1].count("ms an image") == 1


def test_a_cpu_without_bf16_loads_nothing(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cpuinfo").write_text("flags : avx2 avx512f\n")
    monkeypatch.setattr(cpu, "_CPUINFO", tmp_path / "cpuinfo")
    with caplog.at_level("INFO"):
        encoder = open_encoder(bundle, precision="auto", threads=1)
    assert isinstance(encoder, OpenvinoEncoder)
    assert encoder.description.endswith("f32")
    assert "bf16 is refused: this CPU has neither AMX-BF16 nor AVX512-BF16" in caplog.text


@pytest.mark.parametrize("missing", [(NEIGHBOURS,), (GOLDEN,), ()])
def test_an_older_bundle_is_served_in_f32(tried, bundle: Bundle, tmp_path: Path, missing: tuple[str, ...]) -> None:
    older = without(bundle, tmp_path / "older", *missing, gates={"min_overlap": GATE} if missing else None)
    taken, line, _ = tried(10, of=older)
    assert not taken
    assert ("no golden images" if missing == (GOLDEN,) else "the bundle has no neighbours.npz to judge it by") in line


def test_what_does_not_load_is_refused(
    bundle: Bundle, clock: Clock, bf16_cpu: None, caplog: pytest.LogCaptureFixture
) -> None:
    def absent():
        raise RuntimeAbsentError("OpenVINO computes in f32 on this CPU, which lacks bf16")

    exact = Fake(bundle.path(ENCODER), clock, bits=23, seconds=(1, 1))
    with caplog.at_level("INFO"):
        assert bf16_trial.try_bf16(exact, absent, bundle=bundle, check=lambda encoder: 1.0, batch=8) is exact
    assert "bf16 is refused: OpenVINO computes in f32 on this CPU" in caplog.text


def test_only_openvino_is_tried(bundle: Bundle, bf16_cpu: None, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        assert isinstance(open_encoder(bundle, runtime="onnxruntime", precision="auto", threads=1), OnnxEncoder)
    assert "precision:" not in caplog.text


@pytest.mark.skipif(not cpu.has_bf16(), reason="this CPU has no bf16")
def test_openvinos_bf16_passes_the_gates_of_a_vit(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(bf16_trial, "_LEAST_SPEED", 0.0)  # so small a network says nothing of speed
    with caplog.at_level("INFO"):
        encoder = open_encoder(bundle, precision="auto", threads=1)
    (line,) = [record.message for record in caplog.records if record.message.startswith("precision: ")]
    assert encoder.description.endswith("on the CPU, bf16"), line
    assert f"precision: bf16 ({encoder.description}); golden images' centred cosine 0.99" in line
    assert f"encoder: {encoder.description} (passed over" in caplog.text

    monkeypatch.setattr(bf16_trial, "_LEAST_SPEED", 1e9)
    assert open_encoder(bundle, precision="auto", threads=1).description.endswith("on the CPU, f32")
