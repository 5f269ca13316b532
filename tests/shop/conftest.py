"""One small shop that the tests read."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from src.shop import open_shop
from src.shop.products import Product, plan_products

SETTINGS = {"parents": 30, "seed": 5, "image_size": 96, "sessions": 400}


@dataclass(frozen=True)
class Shop:
    root: Path
    items: pa.Table
    log: pa.Table
    products: tuple[Product, ...]

    def rows(self) -> list[dict[str, object]]:
        return self.items.to_pylist()

    def picture(self, row: dict[str, object]) -> np.ndarray:
        return cv2.cvtColor(cv2.imread(str(self.root / str(row["image"]))), cv2.COLOR_BGR2RGB)

    def mask(self, row: dict[str, object]) -> np.ndarray:
        return cv2.imread(str(self.root / str(row["mask"])), cv2.IMREAD_UNCHANGED)


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    root = tmp_path_factory.mktemp("shops") / "shop"
    items = open_shop(root, **SETTINGS)
    return Shop(
        root=root,
        items=items,
        log=pq.read_table(root / "interactions.parquet"),
        products=plan_products(SETTINGS["parents"], SETTINGS["seed"]),
    )
