"""Embed: pixels to vectors, with an encoder that each worker opens once."""

import math
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from src.contracts.bundle import open_bundle
from src.contracts.tables import pack_vectors
from src.export.runtime import EncoderRuntime, open_encoder
from src.pipelines.job import Job
from src.pipelines.stages.rows import ROWS, Stage

__all__ = ["EMBEDDED", "embed_stage", "worker_encoder"]

EMBEDDED = pa.schema([*ROWS, pa.field("vector", pa.binary()), pa.field("norm", pa.float32())])
"""`vector` is little-endian float16 of (dim,), null where nothing was embedded."""

_NO_NORM = 1.0
"""The norm before L2 of an encoder whose graph does not give it."""


def embed_stage(job: Job) -> Stage:
    """Adds `vector` and `norm` to rows that have pixels and are not embedded yet.

    The encoder always gets `job.batch` images, the last ones repeated where there are fewer: the same image then gives
    the same vector, bit for bit, whatever it comes in with. A run that was killed and a run that was not agree.
    """

    def embed(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            pixels = batch.column("pixels")
            done = pc.and_(batch.column("embedded"), pc.equal(batch.column("content_hash"), batch.column("known_hash")))
            to_do = pc.and_not(pixels.is_valid(), pc.fill_null(done, False))
            wanted = np.flatnonzero(to_do.to_numpy(zero_copy_only=False))
            vectors: list[bytes | None] = [None] * len(batch)
            norms: list[float | None] = [None] * len(batch)
            if len(wanted):
                encoder = worker_encoder(job.encoder, job.runtime, job.encoder_threads)
                for start in range(0, len(wanted), job.batch):
                    rows = wanted[start : start + job.batch]
                    images = np.stack([_image(pixels[int(row)], encoder.size) for row in rows])
                    embeddings, lengths = _embedded(encoder, images, job.batch)
                    packed = pack_vectors(embeddings).to_pylist()
                    for row, vector, length in zip(rows, packed, lengths.tolist(), strict=True):
                        vectors[row], norms[row] = vector, _NO_NORM if math.isnan(length) else length
            arrays = [*batch.columns, pa.array(vectors, pa.binary()), pa.array(norms, pa.float32())]
            yield pa.record_batch(arrays, schema=EMBEDDED)

    return embed


@lru_cache(maxsize=1)
def worker_encoder(folder: str, runtime: str, threads: int) -> EncoderRuntime:
    """The encoder of a worker, opened by its first batch."""
    return open_encoder(open_bundle(Path(folder)), runtime=runtime, threads=threads)


def _image(pixels: pa.BinaryScalar, size: int) -> np.ndarray:
    return np.frombuffer(pixels.as_buffer(), np.uint8).reshape(size, size, 3)


def _embedded(encoder: EncoderRuntime, images: np.ndarray, batch: int) -> tuple[np.ndarray, np.ndarray]:
    full = np.concatenate([images, np.repeat(images[-1:], batch - len(images), axis=0)])
    embeddings, norms = encoder.embed_with_norms(full)
    return embeddings[: len(images)], norms[: len(images)]
