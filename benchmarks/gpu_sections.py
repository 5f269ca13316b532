"""What is measured on a GPU: a function a section. On the CPU each runs the same code on toy sizes, which tests do.

Each section is a process, so what only some of them need is imported there: it takes seconds.
"""

import itertools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import faiss
import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.exact_search import ExactSearch
from src.contracts.errors import LookalikeError
from src.contracts.preprocessing import PreprocessingSpec

if TYPE_CHECKING:
    from src.models.encoder import Encoder

__all__ = ["SECTIONS", "Figure", "Section"]


class Figure(NamedTuple):
    """A row of the table."""

    what: str
    value: float
    unit: str
    note: str = ""


class Section(NamedTuple):
    """A function of the device, and its time limit in seconds, the start of its process included."""

    run: Callable[[str], list[Figure]]
    seconds: float


def machine(device: str) -> list[Figure]:
    """What the machine can do at best: matrix products, and reading its memory."""
    speed, width = matrix_peak(device)
    size = 2**30 if device == "cuda" else 2**20
    numbers = torch.ones(size, dtype=torch.float16, device=device)
    seconds = timed(lambda: numbers.sum(dtype=torch.float32), device)
    return [
        Figure("matrix product, bf16", speed / 1e12, "TFLOP/s", f"{width} x {width} x {width}"),
        Figure("memory read", 2 * size / seconds / 1e9, "GB/s", "sum of float16 numbers"),
    ]


def training(device: str) -> list[Figure]:
    """Steps of ViT-B/16 with head and InfoNCE in bf16, pixels on the device: what the GPU does, not what feeds it.

    Larger P x K batches are embedded in chunks, as with `trainer.chunk`, whose second forward pass counts as work.
    """
    peak, _ = matrix_peak(device)
    encoder, spec = _encoder(device)
    encoder.train()
    rows = []
    for p, k, chunk in ((32, 4, 0), (128, 4, 128), (512, 4, 128)) if device == "cuda" else ((2, 2, 0), (4, 2, 4)):
        rows += _trained(encoder, _pixels(p * k, spec, device), k=k, chunk=chunk, peak=peak)
    return rows


def _trained(encoder: "Encoder", pixels: torch.Tensor, *, k: int, chunk: int, peak: float) -> list[Figure]:
    from src.datamodules.training_set import Facts
    from src.losses.info_nce import InfoNCE
    from src.losses.objective import Objective
    from src.training.chunked_embedding import embed_in_chunks

    batch, device = len(pixels), pixels.device.type
    objective = Objective(InfoNCE(temperature=0.07))
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=1e-5)
    numbers = torch.arange(batch, device=pixels.device)
    facts = Facts(items=numbers // k, images=numbers, parents=numbers // k, categories=0 * numbers, domains=numbers % 2)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, dtype=torch.bfloat16):
            embeddings = embed_in_chunks(encoder, pixels, chunk=chunk)
        objective(embeddings, facts).backward()
        optimizer.step()

    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    counter = FlopCounterMode(display=False)
    with counter:
        step()
    seconds = timed(step, device, at_least=5.0 if device == "cuda" else 0.0)
    counted = counter.get_total_flops()
    named = f"batch {batch // k} x {k}, " + (f"in chunks of {chunk}" if chunk else "at once")
    work = f"{counted / batch / 1e9:.1f} GFLOP an image, products and attention as torch counts them"
    rows = [
        Figure(f"images trained, {named}", batch / seconds, "images/s", work),
        Figure(f"share of the measured matrix peak, {named}", 100 * counted / seconds / peak, "%"),
    ]
    if device == "cuda":
        rows.append(Figure(f"memory at most, {named}", torch.cuda.max_memory_allocated() / 2**30, "GiB"))
    return rows


def embedding(device: str) -> list[Figure]:
    """The encoder in torch, bf16 autocast: latency of one image, throughput of many."""
    encoder, spec = _encoder(device)
    rows = []
    with torch.inference_mode(), torch.autocast(device, dtype=torch.bfloat16):
        for batch in (1, 8, 256) if device == "cuda" else (1, 2):
            pixels = _pixels(batch, spec, device)
            seconds = timed(lambda pixels=pixels: encoder(pixels), device)  # type: ignore[misc]
            rows.append(Figure(f"torch bf16, batch {batch}", seconds * 1e3, "ms", f"{batch / seconds:,.0f} images/s"))
    return rows


def engines(device: str) -> list[Figure]:
    """ViT-B/16 in half precision as a TensorRT engine: its time, and how far it is from torch in float32."""
    if device != "cuda":
        raise LookalikeError("an engine of this machine needs a GPU; TensorRT-RTX engines are built in the tests")
    from src.export.engine_build import build_engine, load_engine
    from src.export.onnx_export import export_onnx

    encoder, spec = _encoder("cpu")
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        export_onnx(encoder, spec, folder / "encoder.onnx", precision="fp16")
        start = time.perf_counter()
        built = build_engine(folder / "encoder.onnx", folder, "tensorrt", batch=8)
        rows.append(Figure("TensorRT fp16: built in", time.perf_counter() - start, "s", built.file))
        engine = load_engine(folder / built.file, "tensorrt")
        for batch in (1, 8):
            some = _pixels(batch, spec, "cpu").numpy()
            seconds = timed(lambda some=some: engine.embed(some), "cpu")  # type: ignore[misc]
            note = f"{batch / seconds:,.0f} images/s, with copies"
            rows.append(Figure(f"TensorRT fp16, batch {batch}", seconds * 1e3, "ms", note))
        pixels = _pixels(32, spec, "cpu")
        found = engine.embed(pixels.numpy())
    with torch.inference_mode():
        true = encoder.to("cuda")(pixels.to("cuda")).cpu().numpy()
    centred = [vectors - true.mean(axis=0) for vectors in (found, true)]
    cosine = (centred[0] * centred[1]).sum(1) / np.prod([np.linalg.norm(one, axis=1) for one in centred], axis=0)
    rows.append(Figure("TensorRT fp16: worst centred cosine", float(cosine.min()), "", "random weights and pixels"))
    return rows


def faiss_gpu(device: str) -> list[Figure]:
    """FAISS' flat index on the GPU, float16."""
    rows, dim = (4_000_000, 512) if device == "cuda" else (2000, 32)
    if device == "cuda":
        if not hasattr(faiss, "StandardGpuResources"):
            raise LookalikeError(f"faiss {faiss.__version__} was built without GPU support; install `.[gpu]`")
        resources = faiss.StandardGpuResources()
        config = faiss.GpuIndexFlatConfig()
        config.useFloat16 = True
        index = faiss.GpuIndexFlatIP(resources, dim, config)
    else:
        index = faiss.IndexFlatIP(dim)
    for _ in range(4):
        index.add(_unit(rows // 4, dim, device).float().cpu().numpy())
    figures = []
    for batch in (1, 128):
        queries = _unit(batch, dim, device).float().cpu().numpy()
        seconds = timed(lambda queries=queries: index.search(queries, 10), "cpu")  # type: ignore[misc]
        note = f"{rows:,} x {dim}, k = 10, {batch / seconds:,.0f} queries/s"
        figures.append(Figure(f"flat float16, batch {batch}", seconds * 1e3, "ms", note))
    return figures


def exact_search(device: str) -> list[Figure]:
    """Our brute force in float16 at the largest size that fits, beside what it reads a second."""
    return _searched("float16", 0.75, (1, 128, 1024), device)


def exact_search_int8(device: str) -> list[Figure]:
    """The same with int8 first, the float16 vectors on the GPU as well."""
    return _searched("int8", 0.3, (1, 128), device)


def _searched(precision: Any, share: float, batches: tuple[int, ...], device: str) -> list[Figure]:
    dim = 512 if device == "cuda" else 32
    free = torch.cuda.mem_get_info()[0] if device == "cuda" else 2e6
    rows = int(share * free / (2 * dim))
    vectors = torch.empty((rows, dim), dtype=torch.float16, device=device)
    for first in range(0, rows, 2**20):
        vectors[first : first + 2**20] = _unit(min(2**20, rows - first), dim, device)
    figures = []
    for batch in batches:
        search = ExactSearch(vectors, device=device, precision=precision, batch=batch)
        queries = _unit(batch, dim, device).float().cpu().numpy()
        scores, found = search.search(queries, 10)
        if batch == 1:
            _check(vectors, queries, scores, found)
        seconds = timed(lambda search=search, queries=queries: search.search(queries, 10), "cpu")  # type: ignore[misc]
        read = rows * dim * (1 if precision == "int8" else 2)
        note = f"{rows:,} x {dim}, {batch / seconds:,.0f} queries/s, {read / seconds / 1e9:,.0f} GB/s, "
        note += f"{search.rescored:.2%} of blocks rescored"
        figures.append(Figure(f"{precision}, batch {batch}", seconds * 1e3, "ms", note))
    return figures


def _check(vectors: torch.Tensor, queries: np.ndarray, scores: np.ndarray, found: np.ndarray) -> None:
    """Against float64, row by row and not by block; raises where a result is missing."""
    query = torch.from_numpy(queries[0]).to(vectors.device).double()
    chunks = [vectors[first : first + 2**20].double() @ query for first in range(0, len(vectors), 2**20)]
    true = torch.cat(chunks)
    best = true.topk(len(scores[0])).values.cpu().numpy()
    mine = true[torch.from_numpy(found[0]).to(true.device)].cpu().numpy()
    if not (np.allclose(best, scores[0], atol=1e-6) and np.allclose(best, mine, atol=1e-9)):
        raise AssertionError(f"exact search is not exact: {scores[0]} for {best}")


def matrix_peak(device: str) -> tuple[float, int]:
    """FLOP/s of a large bf16 matrix product, and its width."""
    width = 8192 if device == "cuda" else 128
    left, right = (torch.randn(width, width, device=device, dtype=torch.bfloat16) for _ in range(2))
    seconds = timed(lambda: left @ right, device, at_least=1.0 if device == "cuda" else 0.0)
    return 2 * width**3 / seconds, width


def timed(work: Callable[[], object], device: str, *, at_least: float = 0.5) -> float:
    """Median seconds of a call, after two to warm up; calls go on for `at_least` seconds, three at least."""
    seconds: list[float] = []
    begin = time.perf_counter()
    for number in itertools.count():
        start = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        if number >= 2:
            seconds.append(time.perf_counter() - start)
        if len(seconds) >= 3 and time.perf_counter() - begin > (at_least if torch.cuda.is_available() else 0):
            return float(np.median(seconds))
    raise AssertionError


def _encoder(device: str) -> "tuple[Encoder, PreprocessingSpec]":
    """ViT-B/16 with the default head on the GPU's machine, a ViT of two narrow layers else; random weights."""
    from src.models.encoder import build_encoder

    torch.manual_seed(0)
    if torch.cuda.is_available():
        spec = PreprocessingSpec(size=224)
        return build_encoder(spec=spec, backbone="vit_base_patch16_224").eval().to(device), spec
    spec = PreprocessingSpec(size=32)
    small = {"depth": 2, "embed_dim": 24, "num_heads": 2}
    encoder = build_encoder(
        spec=spec, backbone="vit_tiny_patch16_224", backbone_kwargs=small, hidden_dim=16, embedding_dim=8
    )
    return encoder.eval().to(device), spec


def _pixels(batch: int, spec: PreprocessingSpec, device: str) -> torch.Tensor:
    return torch.randint(0, 256, (batch, spec.size, spec.size, 3), dtype=torch.uint8, device=device)


def _unit(rows: int, dim: int, device: str) -> torch.Tensor:
    """Random float16 rows of norm 1."""
    return torch.nn.functional.normalize(torch.randn(rows, dim, device=device), dim=1).half()


SECTIONS = {
    "machine": Section(machine, 30),
    "training": Section(training, 80),
    "embedding": Section(embedding, 50),
    "engines": Section(engines, 120),
    "faiss": Section(faiss_gpu, 60),
    "exact search": Section(exact_search, 80),
    "exact search, int8": Section(exact_search_int8, 50),
}
