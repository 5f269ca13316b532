"""Each recipe of a public set is trained for ten steps on a tiny folder of its format, at the rates that it states."""

import csv
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.catalog.public.layouts import write_cars, write_cub, write_inshop, write_sop

pytestmark = pytest.mark.slow

RECIPES = sorted(
    path.stem for path in (Path(__file__).parents[2] / "conf" / "experiment").glob("*_*.yaml")
)  # fmt: skip
ROOTS: dict[str, Callable[[Path], Path]] = {
    "cars": write_cars,
    "cub": write_cub,
    "inshop": write_inshop,
    "sop": lambda root: write_sop(root, products=16),
}
VIT = {"img_size": 32, "embed_dim": 32, "depth": 2, "num_heads": 2}
OWN = {"rs_at_k_sop": ["loss.ks=[1,2]"], "oml_sop": ["sampler.together=2"], "oml_inshop": ["sampler.together=1"]}
RATES = {"hyp_vit": 3e-5, "sph_vit": 3e-5, "oml": 1e-5, "rs_at_k": 5e-5}


def test_the_recipes_are_found() -> None:
    assert len(RECIPES) == 11
    assert {name.rsplit("_", 1)[1] for name in RECIPES} == set(ROOTS)


@pytest.mark.parametrize("name", RECIPES)
def test_ten_steps(name: str, tmp_path: Path, repository: Path, warm_python: Path) -> None:
    method, data = name.rsplit("_", 1)
    root = ROOTS[data](tmp_path / data)
    command = [
        str(warm_python), "train.py", f"experiment={name}", f"data.root={root}", f"data.cache={tmp_path / 'cache'}",
        f"hydra.run.dir={tmp_path / 'run'}", "preprocessing.size=32", "data.p=2", "data.k=2", "data.val_fraction=0.5",
        "trainer.accelerator=cpu", "trainer.epochs=100", "trainer.patience=100", "trainer.validate_every=1",
        "trainer.lightning.max_steps=10",
        "trainer.lightning.log_every_n_steps=1", "model.pretrained=false",
        *(f"++model.backbone_kwargs.{key}={value}" for key, value in VIT.items()), *OWN.get(name, []),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "run" / "checkpoints" / "best.ckpt").is_file()
    with (tmp_path / "run" / "log" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    rates = [float(row["lr/backbone"]) for row in rows if row["lr/backbone"]]
    # The first epochs of each published schedule have one rate.
    assert rates == pytest.approx([RATES[method]] * 10, rel=1e-6)
