"""Tiny folders in the layouts of the public sets."""

from pathlib import Path

import numpy as np
from scipy.io import savemat

from tests.pictures import encode, smooth_picture

__all__ = ["write_cars", "write_cars_devkit", "write_cub", "write_inshop", "write_photo", "write_sop"]


def write_photo(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(smooth_picture(16, 16, seed=seed), "JPEG"))


def write_cub(root: Path, *, classes: tuple[int, ...] = (1, 2, 3, 4, 100, 101, 102, 200), photos: int = 2) -> Path:
    images, labels = [], []
    for number in classes:
        for photo in range(photos):
            images.append(f"{number:03d}.Bird_{number}/Bird_{number}_{photo:04d}.jpg")
            labels.append(number)
            write_photo(root / "images" / images[-1], seed=number)
    numbered = range(1, len(images) + 1)
    (root / "images.txt").write_text("".join(f"{n} {path}\n" for n, path in zip(numbered, images, strict=True)))
    (root / "image_class_labels.txt").write_text("".join(f"{n} {of}\n" for n, of in zip(numbered, labels, strict=True)))
    return root


def write_sop(root: Path, *, products: int = 5, photos: int = 2) -> Path:
    number, product = 0, 0
    for split in ("train", "test"):
        lines = ["image_id class_id super_class_id path"]
        for _ in range(products):
            product += 1
            kind, kind_number = (("bicycle", 1), ("coffee_maker", 4))[product % 2]
            for photo in range(photos):
                number += 1
                path = f"{kind}_final/11108{product}_{photo}.JPG"
                lines.append(f"{number} {product} {kind_number} {path}")
                write_photo(root / path, seed=product)
        (root / f"Ebay_{split}.txt").write_text("\n".join(lines) + "\n")
    return root


def write_inshop(root: Path, *, listing: str = "Eval/list_eval_partition.txt", images: str = "Img") -> Path:
    lines = []
    for product in range(1, 8):
        for photo in range(3):
            path = f"img/WOMEN/Dresses/id_{product:08d}/0{photo}_1_front.jpg"
            status = "train" if product <= 5 else ("query" if photo == 0 else "gallery")
            lines.append(f"{path}   id_{product:08d}   {status}")
            write_photo(root / images / path, seed=product)
    (root / listing).parent.mkdir(parents=True, exist_ok=True)
    heading = f"{len(lines)}\nimage_name item_id evaluation_status\n"
    (root / listing).write_text(heading + "\n".join(lines) + "\n")
    return root


def _cars() -> list[tuple[str, int]]:
    return [
        (f"{number:06d}.jpg", label) for number, label in enumerate([1, 1, 2, 2, 3, 3, 98, 98, 99, 99, 196, 196], 1)
    ]


def _records(named: list[tuple[str, int]], field: str) -> np.ndarray:
    kind = [(field, object), ("bbox_x1", object), ("class", object)]
    records = np.zeros((1, len(named)), dtype=kind)
    for row, (name, label) in enumerate(named):
        records[0, row] = (name, 30, label)
    return records


def _names() -> np.ndarray:
    return np.array([[f"Make Model {number}" for number in range(1, 197)]], dtype=object)


def write_cars(root: Path) -> Path:
    named = [(f"car_ims/{name}", label) for name, label in _cars()]
    for path, label in named:
        write_photo(root / path, seed=label)
    savemat(root / "cars_annos.mat", {"annotations": _records(named, "relative_im_path"), "class_names": _names()})
    return root


def write_cars_devkit(root: Path) -> Path:
    cars = _cars()
    (root / "devkit").mkdir(parents=True)
    savemat(root / "devkit" / "cars_meta.mat", {"class_names": _names()})
    halves = (
        ("cars_train", "devkit/cars_train_annos.mat", cars[::2]),
        ("cars_test", "cars_test_annos_withlabels.mat", cars[1::2]),
    )
    for folder, file, half in halves:
        for name, label in half:
            write_photo(root / folder / name, seed=label)
        savemat(root / file, {"annotations": _records(half, "fname")})
    return root
