"""Searching in a process in which faiss.contrib.torch_utils has replaced FAISS's methods."""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import tempfile

import numpy as np
from src.eval.gallery_search import nearest
from src.index.faiss_index import FaissIndex
from src.index.recall import kth_scores

rng = np.random.default_rng(0)
vectors = rng.standard_normal((400, 16)).astype(np.float32)
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
layouts = ("exact", "hnsw_fp16", "ivf_sq8", "ivf_rabitq_fp16")
indexes = [FaissIndex.build(vectors, layout=layout) for layout in layouts]
allowed = [None, rng.random(400) < 0.5, rng.random(400) < 0.02]
mapped = np.memmap(tempfile.TemporaryFile(), np.float32, "w+", shape=vectors.shape)
mapped[:] = vectors
before = [index.search(vectors[:20], 5, some) for index in indexes for some in allowed]

import faiss.contrib.torch_utils

assert hasattr(indexes[0]._index, "search_numpy")
np.testing.assert_array_equal(kth_scores(mapped, vectors[:20]), nearest(vectors[:20], mapped, 10)[0][:, -1])
indexes += [FaissIndex.build(mapped, layout=layout) for layout in layouts]
after = [index.search(vectors[:20], 5, some) for index in indexes for some in allowed]
for (scores, rows), (scores_after, rows_after) in zip(before * 2, after, strict=True):
    np.testing.assert_array_equal(rows, rows_after)
    np.testing.assert_array_equal(scores, scores_after)
"""


def test_finds_the_same_after_torch_utils_was_imported(repository: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=repository, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
