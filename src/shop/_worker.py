"""A process that takes the pictures of some of the products: `python -m src.shop._worker ORDER`.

`ORDER` is JSON: root, parents, seed, image_size, share, shares. A line is printed for each finished product.
"""

import json
import sys
from pathlib import Path

import cv2

from src.shop.products import plan_products
from src.shop.studio import shoot

__all__ = ["main"]


def main(order: str) -> None:
    """Take the pictures of products `share`, `share + shares`, ..."""
    asked = json.loads(order)
    cv2.setNumThreads(1)
    root, seed, size = Path(asked["root"]), int(asked["seed"]), int(asked["image_size"])
    parents = int(asked["parents"])
    for product in plan_products(parents, seed, range(int(asked["share"]), parents, int(asked["shares"]))):
        shoot(root, product, seed=seed, image_size=size)
        print(product.number, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
