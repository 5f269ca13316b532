"""What the tests share: shape checks on tensors, and builders of pictures and small catalogues."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

# The networks are tiny: threads that wait for one another cost several times what they give, in child processes as
# well. To be set before anything reads it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Otherwise each of the hundreds of processes compiles all modules again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

import jaxtyping
import numpy as np
import pytest

# The hook only names it, so it must be imported already.
import tests.typechecking  # noqa: F401

sys.dont_write_bytecode = False
# Tensor shapes and types are checked in tests only; the modules must not be imported before.
jaxtyping.install_import_hook(
    ["src.training", "src.models", "src.datamodules", "src.losses", "src.miners"], "tests.typechecking.typechecker"
)

from src.contracts.settings import DataSettings, ShopSettings  # noqa: E402
from src.contracts.settings.csv import CsvSettings  # noqa: E402
from src.contracts.settings.splits import CountSplitSettings, TimeSplitSettings  # noqa: E402
from tests.milvus_server import milvus_uri  # noqa: E402, F401
from tests.pictures import encode, smooth_picture  # noqa: E402
from tests.warm_python import warm_python as started_python  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
REAL_DATA = ROOT.parent / "shared" / "data" / "grocery_store"


LONGEST = (
    "tests/benchmarks/", "tests/documentation/", "tests/integration/", "tests/notebooks/", "tests/test_conf.py",
    "tests/training/",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        # The longest files come first, so that no worker is left alone with one at the end.
        items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))
    if not REAL_DATA.is_dir():
        for item in items:
            if item.get_closest_marker("real_data"):
                item.add_marker(pytest.mark.skip(reason=f"no photos at {REAL_DATA}"))


def write_folder_catalogue(root: Path, *, items: int, images: int, side: int = 40, seed: int = 0) -> Path:
    """root/item-NNN/N.png: the images of an item are noisy copies of one pattern."""
    rng = np.random.default_rng(seed)
    for item in range(items):
        pattern = smooth_picture(side, side, seed=1000 * seed + item).astype(np.float64)
        folder = root / f"item-{item:03d}"
        folder.mkdir(parents=True)
        for image in range(images):
            noisy = np.clip(pattern + rng.normal(0, 8, pattern.shape), 0, 255).astype(np.uint8)
            (folder / f"{image}.png").write_bytes(encode(noisy, "PNG"))
    return root


def make_data_settings(**overrides: object) -> DataSettings:
    """Complete data settings, the folder reader's unless overridden."""
    values: dict = {
        "reader": "folder",
        "root": "",
        "manifest": "",
        "csv": CsvSettings(delimiter="", encoding="", decimal="point"),
        "columns": {},
        "splits": {},
        "domains": {},
        "split_pairs": [],
        "domain_pairs": [],
        "split_by": "product",
        "val_fraction": 0.3,
        "test_fraction": 0.3,
        "split_seed": 0,
        "split_file": "",
        "count": CountSplitSettings(train=0, val=0, order="name", joint_gallery=False, ask="unseen"),
        "time": TimeSplitSettings(val_from="", test_from=""),
        "leakage": "off",
        "p": 2,
        "k": 2,
        "augmentation": "none",
        "workers": 0,
        "cache": "",
        "shop": ShopSettings(parents=20, seed=0, image_size=64, sessions=10),
    }
    return DataSettings(**{**values, **overrides})


@pytest.fixture(scope="session")
def repository() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def warm_python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """In the place of `sys.executable` for a command of ours, which then needs not import torch and the rest."""
    with started_python(tmp_path_factory.mktemp("python")) as executable:
        yield executable


@pytest.fixture(scope="session")
def picture() -> Callable[..., np.ndarray]:
    return smooth_picture


@pytest.fixture(scope="session")
def encoded() -> Callable[..., bytes]:
    return encode


@pytest.fixture(scope="session")
def folder_catalogue() -> Callable[..., Path]:
    return write_folder_catalogue


@pytest.fixture(scope="session")
def data_settings() -> Callable[..., DataSettings]:
    return make_data_settings
