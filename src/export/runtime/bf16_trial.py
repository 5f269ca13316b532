"""Whether an encoder serves in bf16: it must be as faithful as the export's gates ask, and quicker than in float32."""

import logging
import time
from collections.abc import Callable, Iterator

import numpy as np

from src.contracts.bundle import NEIGHBOURS, Bundle
from src.contracts.errors import BundleError
from src.export.runtime.cpu import has_bf16
from src.export.runtime.neighbours import Neighbours, read_neighbours
from src.export.runtime.protocol import EncoderRuntime, RuntimeAbsentError

__all__ = ["try_bf16"]

log = logging.getLogger(__name__)

_LEAST_SPEED = 1.1
"""What f32 takes over what bf16 takes, at least: less is within what the same machine measures twice."""

_MOMENT = 0.5
"""Seconds of timing at one batch size, and of f32's largest timed batch: a slow encoder is timed on fewer images."""

_PATIENCE = 2.0
"""Seconds of timing at one batch size before bf16 is called too slow: other work on the machine may have delayed it."""

_ROUNDS = (2, 100)


def try_bf16(
    f32: EncoderRuntime,
    load_bf16: Callable[[], EncoderRuntime],
    *,
    bundle: Bundle,
    check: Callable[[EncoderRuntime], float | None],
    batch: int,
) -> EncoderRuntime:
    """Take bf16 where the CPU has it, the golden images and the stored neighbours pass, and it is quicker.

    One line of the log names the precision that was taken, what was measured, and what bf16 was refused for.

    Args:
        f32: the encoder in float32, which has embedded the golden images.
        load_bf16: loads the same encoder in bf16.
        bundle: what both run; it has the stored neighbours and the limit of their overlap.
        check: embeds the golden images; see `src.export.runtime.choice.check_start`.
        batch: the largest batch that will be served: both precisions are timed at it, and at batch 1.

    Returns:
        `f32` or what `load_bf16` returned.
    """
    found: list[str] = []
    try:
        bf16 = _accepted(f32, load_bf16, bundle=bundle, check=check, batch=batch, found=found)
    except (RuntimeAbsentError, BundleError) as reason:
        log.info("precision: f32 (%s); bf16 is refused: %s", f32.description, "; ".join([str(reason), *found]))
        return f32
    log.info("precision: bf16 (%s); %s", bf16.description, "; ".join(found))
    return bf16


def _accepted(
    f32: EncoderRuntime,
    load_bf16: Callable[[], EncoderRuntime],
    *,
    bundle: Bundle,
    check: Callable[[EncoderRuntime], float | None],
    batch: int,
    found: list[str],
) -> EncoderRuntime:
    """The encoder in bf16, with what was measured in `found`; `RuntimeAbsentError` says what it is refused for."""
    if not has_bf16():
        raise RuntimeAbsentError("this CPU has neither AMX-BF16 nor AVX512-BF16")
    limit = bundle.content.get("gates", {}).get("min_overlap")
    if limit is None or NEIGHBOURS not in bundle.content["files"]:
        raise RuntimeAbsentError(
            f"the bundle has no {NEIGHBOURS} to judge it by: it is of an older version, or of fewer than 20 images"
        )
    neighbours = read_neighbours(bundle.path(NEIGHBOURS))
    bf16 = load_bf16()
    cosine = check(bf16)
    if cosine is None:
        raise RuntimeAbsentError("the bundle has no golden images of the encoder's size")
    found.append(f"golden images' centred cosine {cosine:.5f}")
    for images, slow, fast in _times(f32, bf16, neighbours.queries, batch):
        found.append(f"{1e3 * fast:.2f} ms an image at batch {images}, f32 {1e3 * slow:.2f}")
        if not slow >= _LEAST_SPEED * fast:
            raise RuntimeAbsentError(f"at batch {images} it is not {_LEAST_SPEED} times as fast as f32")
    _check_overlap(neighbours, bf16, limit, found)
    return bf16


def _check_overlap(neighbours: Neighbours, bf16: EncoderRuntime, limit: float, found: list[str]) -> None:
    overlap = neighbours.overlap(bf16.embed)
    found.append(f"overlap {overlap:.4f} of the ten nearest of {len(neighbours.queries)} images, the limit is {limit}")
    if not overlap >= limit:
        raise RuntimeAbsentError("it finds too few of the neighbours that fp32 finds")


def _times(
    f32: EncoderRuntime, bf16: EncoderRuntime, pixels: np.ndarray, batch: int
) -> Iterator[tuple[int, float, float]]:
    """Images of a batch, and seconds an image in f32 and in bf16: at batch 1, then at the largest batch."""
    alone = _best(f32, bf16, pixels[:1])
    yield 1, *alone
    images = min(batch, max(1, int(_MOMENT / alone[0])))
    if images > 1:
        slow, fast = _best(f32, bf16, pixels[np.arange(images) % len(pixels)])
        yield images, slow / images, fast / images


def _best(f32: EncoderRuntime, bf16: EncoderRuntime, pixels: np.ndarray) -> tuple[float, float]:
    """Seconds of the quickest call of each; the two take turns, so that other work on the machine delays both."""
    least, most = _ROUNDS
    best = [float("inf"), float("inf")]
    begin = time.perf_counter()
    for number in range(most):
        for place, encoder in enumerate((f32, bf16)):
            start = time.perf_counter()
            encoder.embed(pixels)
            best[place] = min(best[place], time.perf_counter() - start)
        enough = _MOMENT if best[0] >= _LEAST_SPEED * best[1] else _PATIENCE
        if number + 1 >= least and time.perf_counter() - begin > enough:
            break
    return best[0], best[1]
