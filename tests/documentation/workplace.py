"""Folders that look like a checkout in which somebody has worked: photos, a trained run, its bundle, vectors."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import timm
from safetensors.torch import save_file

from tests.catalog.public.layouts import write_sop
from tests.conftest import write_folder_catalogue
from tests.documentation.placeholders import BUNDLE, CHECKPOINT
from tests.documentation.small import VIT
from tests.pictures import encode, smooth_picture
from tests.signing_keys import write_keys

__all__ = ["Done", "Workplace"]

ROOT = Path(__file__).resolve().parents[2]
_LINKED = (
    "train.py", "evaluate.py", "export.py", "src", "serve", "conf", "hydra_plugins", "benchmarks",
    "deploy", "examples", "tests", "Makefile", "pyproject.toml", "requirements.lock", ".pre-commit-config.yaml",
)  # fmt: skip
_HERE = Path(__file__).parent
_PATIENCE = 300


class Done:
    """A command that has ended: its exit code, and all that it printed."""

    def __init__(self, code: int, output: str) -> None:
        self.code, self.output = code, output


class Workplace:
    """Makes the folders that commands run in, and what they find there.

    Args:
        root: an empty folder for all of them.
        python: runs the commands; see `tests.warm_python`.
    """

    def __init__(self, root: Path, python: Path) -> None:
        self.root = root
        self._made = 0
        self._python = root / "bin" / "python"
        self._python.parent.mkdir(parents=True)
        self._script("python", f'"{sys.executable}" -I -S "{_HERE / "small_python.py"}" "{python}" "$@"')
        for name in ("train", "val"):
            (root / "shared" / "data" / "grocery_store" / name).mkdir(parents=True)
        (root / "common" / "data").mkdir(parents=True)

    @cached_property
    def environment(self) -> dict[str, str]:
        """What commands are started with."""
        path = os.pathsep.join([str(self._python.parent), str(ROOT / ".venv" / "bin"), os.environ["PATH"]])
        return {
            **os.environ,
            "PATH": path,
            "WARM_PYTHON": str(self._python),
            "WANDB_MODE": "offline",
            "WANDB_SILENT": "true",
            "LOOKALIKE_TOKEN": "a-token-of-the-tests",
        }

    def run(self, text: str, folder: Path, **environment: str) -> Done:
        """Run a command line in a folder as a shell does."""
        done = subprocess.run(
            ["bash", "-c", text],
            cwd=folder,
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        return Done(done.returncode, done.stdout)

    def folder(self) -> Path:
        """A new checkout."""
        self._made += 1
        folder = self.root / str(self._made)
        folder.mkdir()
        for name in _LINKED:
            (folder / name).symlink_to(ROOT / name)
        # A command writes there.
        shutil.copytree(ROOT / "notebooks", folder / "notebooks")
        (folder / ".venv" / "bin").mkdir(parents=True)
        (folder / ".venv" / "bin" / "python").symlink_to(self._python)
        # As installed: newer than the lock.
        (folder / ".venv" / ".installed").touch()
        (folder / "data").symlink_to(self.root / "common" / "data")
        return folder

    def lay_out(self, text: str, folder: Path) -> None:
        """Put what a command line reads, and no earlier one has left, where it reads it."""
        for checkpoint in re.findall(r"([\w./-]+)/checkpoints/best\.ckpt", text):
            if not (folder / checkpoint).exists():
                shutil.copytree(
                    self.grocery_run if "experiment=grocery" in text else self.run_of(), folder / checkpoint
                )
        for bundle in re.findall(
            r"(?:--bundle |_BUNDLE=|src\.export\.\w+ |src\.index\.digest |outputs/older/bundle )([\w./-]+)", text
        ):
            self._copied(folder / bundle, self.bundle)
        if "bundles" in text:
            for name in ("v1", "v2"):
                self._copied(folder / "bundles" / name, self.bundle)
        for run in re.findall(r"(?:runs|outputs)/(?:triplet|infonce)\S*", text):
            for number, name in enumerate([run.replace("*", seed) for seed in "12"] if "*" in run else [run]):
                self._copied(folder / name, self.run_of("triplet" if "triplet" in run else "infonce", number))
        if ".pem" in text and "openssl" not in text and not (folder / "PRIVATE.pem").exists():
            for key in write_keys(folder / "keys").iterdir():
                key.rename(folder / f"{key.stem.upper()}.pem")
        if "vectors.parquet" in text:
            self._copied(folder / "vectors.parquet", self.vectors)
        if "index.capacity" in text and "measure" not in text:
            self._copied(folder / "outputs" / "capacity.json", self.capacity)
        roots = {
            "photos": self.photos,
            "goods": self.goods,
            "sop": self.sop,
            "dataset": self.dataset,
            "shards": self.shards,
        }
        for name, made in roots.items():
            if re.search(rf"root={name}\b", text) and not (folder / name).exists():
                (folder / name).symlink_to(made())
        for photo in re.findall(r"@(\w+\.jpg)", text):
            (folder / photo).write_bytes(encode(smooth_picture(48, 48, seed=3), "JPEG"))
        if re.search(r"\.\./shared|grocery|pretrained", text):
            self.grocery  # noqa: B018  # made once

    @staticmethod
    def _copied(target: Path, source: Path) -> None:
        if target.exists():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copyfile(source, target)

    def _script(self, name: str, line: str) -> None:
        script = self.root / "bin" / name
        script.write_text(f"#!/bin/sh\nexec {line}\n")
        script.chmod(0o755)

    def _must(self, text: str, folder: Path) -> None:
        done = self.run(text, folder)
        assert done.code == 0, f"{text}\n{done.output}"

    @cached_property
    def _common(self) -> Path:
        """The folder in which what many commands read is made."""
        return self.folder()

    def run_of(self, loss: str = "infonce", seed: int = 0) -> Path:
        """The folder of a run of `experiment=demo`."""
        made = self._common / "made" / f"{loss}-{seed}"
        if not made.exists():
            how = "loss=triplet miner=batch_hard" if loss == "triplet" else ""
            command = (
                f"python train.py experiment=demo {how} seed={seed} hydra.run.dir={made.relative_to(self._common)}"
            )
            self._must(command, self._common)
        return made

    @cached_property
    def grocery_run(self) -> Path:
        """The folder of a run of `experiment=grocery`."""
        self.grocery  # noqa: B018
        self._must("python train.py experiment=grocery trainer.epochs=0 hydra.run.dir=made/grocery", self._common)
        return self._common / "made" / "grocery"

    @cached_property
    def bundle(self) -> Path:
        """The bundle of the demo's run."""
        shutil.copytree(self.run_of(), self._common / Path(CHECKPOINT).parents[1])
        self._must(f"python export.py checkpoint={CHECKPOINT} output={BUNDLE}", self._common)
        return self._common / BUNDLE

    @cached_property
    def capacity(self) -> Path:
        """Measured figures of the capacity planner."""
        self._must("python -m src.index.capacity measure", self._common)
        return self._common / "outputs" / "capacity.json"

    @cached_property
    def vectors(self) -> Path:
        """Embeddings, as `evaluate.py embeddings=` reads them."""
        rng = np.random.default_rng(0)
        rows = rng.normal(size=(60, 1, 8)) + 0.3 * rng.normal(size=(60, 6, 8))
        items = np.repeat([f"item-{number}" for number in range(60)], 6)
        path = self.root / "common" / "vectors.parquet"
        columns = {
            "image_id": [str(row) for row in range(360)],
            "item_id": items.tolist(),
            "is_query": [row % 6 == 0 for row in range(360)],
            "is_gallery": [row % 6 != 0 for row in range(360)],
            "vector": pa.array(rows.reshape(360, 8).astype(np.float32).tolist(), pa.list_(pa.float32())),
        }
        pq.write_table(pa.table(columns), path)
        return path

    def photos(self) -> Path:
        """A folder for each product."""
        root = self.root / "common" / "photos"
        return root if root.exists() else write_folder_catalogue(root, items=24, images=4)

    def goods(self) -> Path:
        """A table with columns of its own names, beside its images."""
        root = self.root / "common" / "goods"
        if not root.exists():
            write_folder_catalogue(root, items=24, images=4)
            with (root / "items.csv").open("w", newline="") as file:
                table = csv.writer(file)
                table.writerow(["sku", "file", "department", "split", "video"])
                for number, image in enumerate(sorted(root.rglob("*.png"))):
                    split = ("train", "train", "val", "test")[number // 4 % 4]
                    table.writerow(
                        [image.parent.name, image.relative_to(root), "things", split, f"video {number // 2}"]
                    )
        return root

    def dataset(self) -> Path:
        """A Hugging Face data set: an image folder by split and label."""
        root = self.root / "common" / "dataset"
        if not root.exists():
            for seed, split in enumerate(("train", "validation", "test")):
                write_folder_catalogue(root / split, items=16, images=4, seed=seed)
        return root

    def shards(self) -> Path:
        """Tar shards of WebDataset's."""
        root = self.root / "common" / "shards"
        if not root.exists():
            root.mkdir(parents=True)
            for seed, name in enumerate(("train-000", "train-001", "val-000")):
                photos = write_folder_catalogue(self.root / "common" / f"of-{name}", items=16, images=4, seed=seed)
                with tarfile.open(root / f"{name}.tar", "w") as shard:
                    for path in sorted(photos.rglob("*.png")):
                        about = path.with_suffix(".json")
                        about.write_text(json.dumps({"sku": f"{name} {path.parent.name}"}))
                        for member in (path, about):
                            shard.add(member, str(member.relative_to(photos)))
        return root

    def sop(self) -> Path:
        """Stanford Online Products, as it is published."""
        root = self.root / "common" / "sop"
        return root if root.exists() else write_sop(root, products=24)

    @cached_property
    def grocery(self) -> Path:
        """The grocery set in its format, 81 products with a catalogue image and three photos each; and weights."""
        root = self.root / "shared" / "data" / "grocery_store"
        with (root / "metadata.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["path", "label", "category", "department", "split", "domain", "is_query", "is_gallery"])
            for product in range(81):
                about = [f"product-{product:02d}", f"kind-{product // 4}", f"department-{product // 20}"]
                for number, split in enumerate(("catalogue", "train", "train", "val")):
                    path = f"{split}/{product:02d}_{number}.jpg"
                    (root / path).parent.mkdir(exist_ok=True)
                    (root / path).write_bytes(encode(_view(product, number), "JPEG"))
                    own = split == "catalogue"
                    table.writerow([path, *about, split, "catalogue" if own else "photo", int(not own), int(own)])
        weights = self.root / "shared" / "weights"
        weights.mkdir()
        save_file(timm.create_model("mobilenetv2_100").state_dict(), weights / "mobilenetv2_100_imagenet.safetensors")
        vit = timm.create_model("vit_tiny_patch16_224", **VIT)
        save_file(vit.state_dict(), weights / "vit_tiny_patch16_224.safetensors")
        return root


def _view(product: int, number: int) -> np.ndarray:
    noise = np.random.default_rng(100 * product + number).normal(0, 10, (40, 40, 3))
    return np.clip(smooth_picture(40, 40, seed=product) + noise, 0, 255).astype(np.uint8)
