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
# # Explain false positives
#
# Which parts of a query and of a wrong result made them alike to the encoder, beside the right result that stood behind
# it. The network here is trained for two short epochs on a small simulated shop, so that the notebook runs in seconds:
# give `checkpoint` a path to look at your own.

# %%
import os
import tempfile
from pathlib import Path

os.chdir(next(folder for folder in [Path.cwd(), *Path.cwd().parents] if (folder / "train.py").is_file()))
work = Path(tempfile.mkdtemp(prefix="lookalike-"))

# %%
from src.commandline import composed, make
from src.contracts.settings import TrainSettings
from src.training.run import train

small = [f"data.root={work / 'shop'}", f"data.cache={work / 'pixels'}", "data.shop.parents=40", "data.shop.sessions=5"]
small += ["data.p=8", "trainer.epochs=2", f"hydra.runtime.output_dir={work}"]
settings = composed(TrainSettings, "train", "experiment=demo", *small)
checkpoint = train(settings, work, make=make)

# %% [markdown]
# ## The worst false positives
#
# A false positive is the worse, the farther its cosine is above the best right result's. Each panel has two rows: the
# query with the false positive, then the query with the positive that was missed. Warm colours mark what makes the two
# pictures of a row alike (Grad-CAM on their cosine, not on a class).

# %%
from IPython.display import display

from src.catalog.catalogue import open_catalogue
from src.eval.evaluation import evaluate_split
from src.eval.explanations.explained_results import explain_worst, panel
from src.models.checkpoint import load_encoder
from src.models.inference import embedder

encoder, spec, _ = load_encoder(checkpoint)
catalogue = open_catalogue(settings.data)
evaluation = evaluate_split(catalogue, "test", spec, embedder(encoder))
for explained in explain_worst(catalogue, evaluation, encoder, spec, 3):
    display(panel(explained))

# %% [markdown]
# ## Can the maps be believed?
#
# The shop knows where its objects are. A map is worth looking at if its peak lies on the object more often than the
# middle of the picture does, and if it falls apart when the network is destroyed. `python -m
# src.eval.explanations.check --checkpoint PATH` asks both of all test images and refuses a method that fails; here are
# 40 pairs of each domain.

# %%
from dataclasses import asdict

import pandas as pd

from src.eval.explanations.masked_pairs import read_pairs
from src.eval.explanations.method_checks import check_method

pairs = read_pairs(catalogue, "test", encoder, spec, limit=40)
checks = [asdict(check) for check in check_method(encoder, pairs, "grad_cam", randomised=8)]
figures = {
    check["domain"]: {
        "peak on the object": check["pointing"]["value"],
        "random pixel on the object": check["random"],
        "middle on the object": check["centre"]["value"],
        "share of the map on the object": check["energy"]["value"],
        "correlation with a destroyed network's map": check["correlations"]["1"],
    }
    for check in checks
}
pd.DataFrame(figures).round(2)

# %% [markdown]
# ## What the service would answer
#
# `Searcher` opens the bundle that serving gets, without torch: the same preprocessing, encoder and index. Each row is a
# user's photo and the four items that it finds.

# %%
import subprocess
import sys

bundle = work / "bundle"
export = [sys.executable, "export.py", f"checkpoint={checkpoint}", f"output={bundle}"]
subprocess.run(export, check=True)  # noqa: S603

# %%
import matplotlib.pyplot as plt

from src.contracts.preprocessing import decode
from src.search import Searcher

searcher = Searcher.open(bundle)
photos = [catalogue.image_bytes(row) for row in catalogue.query_rows("test")[:3]]
figure, axes = plt.subplots(len(photos), 5, figsize=(9, 6), squeeze=False)
for line, photo in zip(axes, photos, strict=True):
    hits = searcher.search(photo, k=4)
    shown = [photo, *(searcher.gallery.thumbnail(hit.row["image_id"]) for hit in hits)]
    titles = ["photo", *(f"{hit.row['item_id']}\n{hit.score:.2f}" for hit in hits)]
    for axis, picture, title in zip(line, shown, titles, strict=True):
        axis.imshow(decode(picture))
        axis.set_title(title, fontsize=8)
        axis.axis("off")
figure.tight_layout()
