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
# # Compare losses
#
# Two losses, the same budget, several seeds each. A difference between two runs says which checkpoint is better; only
# seeds say which *method* is. The shop and the budget here are so small that the answer should be "can't tell": raise
# `EPOCHS`, `PARENTS` and `SEEDS` for an answer that means something.

# %%
import os
import tempfile
from pathlib import Path

os.chdir(next(folder for folder in [Path.cwd(), *Path.cwd().parents] if (folder / "train.py").is_file()))
work = Path(tempfile.mkdtemp(prefix="lookalike-"))

LOSSES = {"infonce": ["loss=infonce", "miner=none"], "triplet": ["loss=triplet", "miner=batch_hard"]}
EPOCHS, PARENTS, SEEDS = 1, 40, 2

# %% [markdown]
# ## Train and evaluate
#
# On the command line: `python train.py experiment=demo loss=... seed=... hydra.run.dir=DIR`, then `python evaluate.py
# checkpoint=DIR/checkpoints/best.ckpt output=DIR/evaluation`. Checkpoints are chosen on validation; the test split is
# read once, by the evaluation.

# %%
from src.catalog.catalogue import open_catalogue
from src.commandline import composed, make
from src.contracts.settings import TrainSettings
from src.eval.evaluated_model import open_evaluated_model
from src.eval.evaluation import evaluate_split
from src.eval.per_query import write_queries
from src.training.run import train

small = [f"data.root={work / 'shop'}", f"data.cache={work / 'pixels'}", f"data.shop.parents={PARENTS}"]
small += ["data.shop.sessions=50", "data.p=8", "preprocessing.size=32", f"trainer.epochs={EPOCHS}"]
for name, overrides in LOSSES.items():
    for seed in range(SEEDS):
        folder = work / f"{name}-{seed}"
        place = f"hydra.runtime.output_dir={folder}"
        settings = composed(TrainSettings, "train", "experiment=demo", *overrides, *small, f"seed={seed}", place)
        model = open_evaluated_model(str(train(settings, folder, make=make)))
        evaluation = evaluate_split(open_catalogue(settings.data), "test", model.spec, model.embed)
        write_queries(
            evaluation.per_query,
            folder / "evaluation" / "queries.parquet",
            name=name,
            split="test",
            method=model.method,
            seed=seed,
        )

# %% [markdown]
# ## Compare
#
# Runs that differ by their seed alone are found to be one method. The unit of the tests is the product, not the query,
# since the queries of a product succeed and fail together.

# %%
from src.eval.compare import main as compare

compare(
    [
        *(str(work / f"{name}-{seed}") for name in LOSSES for seed in range(SEEDS)),
        "--metrics",
        "recall@1",
        "recall@10",
        "mrr",
    ]
)

# %% [markdown]
# ## How they learned
#
# Recall@1 on the validation split after each epoch: a line for each run, a dot at the checkpoint that was kept.

# %%
from IPython.display import HTML

from src.eval.learning_curves import as_html, draw_learning_curves
from src.eval.training_log import learning_curve

curves = {name: [learning_curve(work / f"{name}-{seed}", "recall@1") for seed in range(SEEDS)] for name in LOSSES}
HTML(as_html(draw_learning_curves("recall@1", curves)))

# %% [markdown]
# ## Where they differ
#
# The table of queries of each run holds what each query found. Here: the queries that one loss answers and the other
# does not, by category.

# %%
import numpy as np

from src.eval.per_query import read_queries

tables = {
    name: [
        read_queries(work / f"{name}-{seed}" / "evaluation" / "queries.parquet").to_pandas() for seed in range(SEEDS)
    ]
    for name in LOSSES
}
means = {name: np.mean([table["recall@10"] for table in runs], axis=0) for name, runs in tables.items()}
queries = tables["infonce"][0][["category", "color"]].assign(**means)
queries.groupby("category")[list(LOSSES)].mean().assign(difference=lambda t: t.infonce - t.triplet).sort_values(
    "difference"
)
