# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Recall against memory
#
# An index gives up recall for memory or for time. Which one to take follows from the budgets, and from looking at the
# worst category as well: an average hides the categories that a layout ruins. Simulated clustered vectors stand in for
# yours; a Parquet file of embeddings takes their place on the command line (`python -m src.index.study --help`).

# %%
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.chdir(next(folder for folder in [Path.cwd(), *Path.cwd().parents] if (folder / "train.py").is_file()))
study = Path(tempfile.mkdtemp(prefix="lookalike-")) / "study"

# %% [markdown]
# ## Sweep
#
# Each layout is built once and asked at each of its efforts, one query at a time, on one thread. What is built and
# measured is kept in the folder: a study that was interrupted goes on where it was.

# %%
command = [
    sys.executable,
    "-m",
    "src.index.study",
    "--clustered",
    "5000x64",
    "--output",
    str(study),
    "--queries",
    "200",
]
command += ["--layouts", "exact,hnsw_fp16,hnsw_sq8,ivf_sq8,ivf_pq_sq8,ivf_rabitq_sq8"]
done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
if done.returncode:
    raise RuntimeError(done.stderr)

# %% [markdown]
# ## What each layout needs for a recall

# %%
from IPython.display import SVG, Markdown

Markdown((study / "table.md").read_text())

# %% [markdown]
# ## Recall against bytes per vector

# %%
SVG(filename=str(study / "recall_bytes.svg"))

# %% [markdown]
# ## The worst category
#
# The same points, but for the category that is served worst.

# %%
SVG(filename=str(study / "worst_category_latency.svg"))

# %% [markdown]
# ## Let the budgets choose
#
# Recall that is asked for, memory and time that there is: the choice measures layouts on held-out queries, takes the
# first that keeps all three, and says why. Budgets that nothing keeps are refused, with the nearest that can be kept.

# %%
import numpy as np

from src.contracts.errors import GateError
from src.index.automatic import choose_index

gallery, queries = np.load(study / "gallery.npy"), np.load(study / "queries.npz")["queries"]


def choose(memory_gb: float, min_recall: float) -> str:
    """Why the choice fell as it did, or what would have been possible."""
    built = {"m": 32, "ef_construction": 100, "nlist": None, "ef_search": 64, "nprobe": 16, "k_factor": 4.0}
    budgets = {"memory_gb": memory_gb, "max_latency_ms": None, "min_recall": min_recall}
    try:
        return choose_index(gallery, queries, layout="auto", **budgets, **built).reason
    except GateError as error:
        return f"refused: {error}"


for memory_gb, min_recall in [(0.01, 0.95), (0.0006, 0.95), (0.0006, 0.9999)]:
    print(f"{memory_gb} GB, recall@10 >= {min_recall}: {choose(memory_gb, min_recall)}\n")
