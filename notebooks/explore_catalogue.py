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
# # Explore a catalogue
#
# What is in it, who asks whom, what is missing, and how far a colour histogram gets: the questions to settle before
# anything is trained. The built-in shop stands in for your catalogue; change the overrides in the second cell.

# %%
import os
from pathlib import Path

os.chdir(next(folder for folder in [Path.cwd(), *Path.cwd().parents] if (folder / "train.py").is_file()))

# %%
import tempfile

from src.catalog.catalogue import open_catalogue
from src.commandline import composed
from src.contracts.settings import EvaluateSettings, complete_data

work = Path(tempfile.mkdtemp(prefix="lookalike-"))
overrides = ["data=shop", f"data.root={work / 'shop'}", "data.shop.parents=60", "data.shop.sessions=200"]
settings = composed(
    EvaluateSettings, "evaluate", "baseline=color_histogram", "output=.", *overrides, completed_later="data"
)
catalogue = open_catalogue(complete_data(settings.data, None))
items = catalogue.items.to_pandas()
items.head()

# %% [markdown]
# ## How much there is
#
# A row is an image. Items (SKUs) are what search returns; items of one parent are variants of one product, here
# colours, and the hardest to tell apart.

# %%
items.groupby(["split", "domain"]).agg(
    images=("image_id", "size"), items=("item_id", "nunique"), parents=("parent_id", "nunique")
)

# %%
items.groupby("category").agg(
    images=("image_id", "size"), items=("item_id", "nunique"), price=("price", "median")
).sort_values("items", ascending=False)

# %% [markdown]
# ## What is missing
#
# A feature that needs a column says so by name; slices are made of the columns that are filled.

# %%
items.notna().mean().rename("filled").to_frame().query("filled < 1")

# %% [markdown]
# ## What it looks like
#
# Each row is an item: its catalogue image first, then photos of users. This distance, between a clean picture and a
# photo taken anywhere, is what training has to close.

# %%
import matplotlib.pyplot as plt

from src.contracts.preprocessing import decode

chosen = items[items.domain == "user"].item_id.drop_duplicates().head(4)
figure, axes = plt.subplots(len(chosen), 5, figsize=(9, 7), squeeze=False)
for line, item in zip(axes, chosen, strict=True):
    of_item = items[items.item_id == item].sort_values("domain")
    for axis, (row, image) in zip(line, of_item.head(5).iterrows(), strict=False):
        axis.imshow(decode(catalogue.image_bytes(row)))
        axis.set_title(f"{item}\n{image.domain}", fontsize=8)
    for axis in line:
        axis.axis("off")
figure.tight_layout()

# %% [markdown]
# ## How hard it is
#
# A colour histogram needs no training. Whatever is trained has to beat it, and where it is already good, colour alone
# answers the queries.

# %%
from src.eval.baselines import open_baseline
from src.eval.evaluation import evaluate_split, print_metrics

model = open_baseline("color_histogram", catalogue, seed=0, batch=128, model={}, spec=settings.preprocessing)
evaluation = evaluate_split(catalogue, "val", model.spec, model.embed)
print_metrics(evaluation.metrics, "colour histogram, validation")

# %%
queries = evaluation.per_query.to_pandas()
queries.groupby("category")["recall@10"].agg(["mean", "size"]).sort_values("mean")
