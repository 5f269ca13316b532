"""Cars-196 (Krause, Stark, Deng, Fei-Fei: 3D Object Representations for Fine-Grained Categorization, 2013)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from scipy.io import loadmat

from src.contracts.errors import CatalogueError

__all__ = ["read_cars"]

_TRAINING_CLASSES = 98
_LAYOUT = (
    "the set as published: cars_annos.mat and car_ims/, or devkit/cars_meta.mat, devkit/cars_train_annos.mat, "
    "cars_test_annos_withlabels.mat, cars_train/ and cars_test/; set `data.root`"
)


def read_cars(root: Path) -> pa.Table:
    """Classes 1 to 98 train, 99 to 196 test; each of 16,185 photos is query and gallery (leave-one-out).

    Both published layouts hold the same photos; the split into two folders belongs to another protocol (classification)
    and is ignored.

    Args:
        root: the folder that holds cars_annos.mat or devkit/.

    Returns:
        Strings: `image_id` and `image` (the path), `item_id` (number and name: `001 AM General Hummer
        SUV 2000`), `split`.

    Raises:
        CatalogueError: a file is missing or of another kind.
    """
    if (root / "cars_annos.mat").is_file():
        content = _read(root / "cars_annos.mat")
        names, labelled = (
            content.get("class_names"),
            list(_labelled(root / "cars_annos.mat", content, "relative_im_path")),
        )
    else:
        names, labelled = _read_devkit(root)
    names = [] if names is None else [str(name) for name in names]
    problems = [
        f"{path}: class {number}, but there are {len(names)} class names"
        for path, number in labelled
        if not 1 <= number <= len(names)
    ]
    if problems:
        raise CatalogueError(str(root), problems)
    return pa.table(
        {
            "image_id": [path for path, _ in labelled],
            "item_id": [f"{number:03d} {names[number - 1]}" for _, number in labelled],
            "image": [path for path, _ in labelled],
            "split": ["train" if number <= _TRAINING_CLASSES else "test" for _, number in labelled],
        }
    )


def _read_devkit(root: Path) -> tuple[Any, list[tuple[str, int]]]:
    """Class names, and path and class of each photo, from the layout of two folders."""
    names = _read(root / "devkit" / "cars_meta.mat").get("class_names")
    labelled: list[tuple[str, int]] = []
    for folder, file in (
        ("cars_train", "devkit/cars_train_annos.mat"),
        ("cars_test", "cars_test_annos_withlabels.mat"),
    ):
        content = _read(root / file)
        labelled += [(f"{folder}/{name}", number) for name, number in _labelled(root / file, content, "fname")]
    return names, labelled


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = loadmat(path, simplify_cells=True)
    except OSError as error:
        raise CatalogueError(str(path), [f"cannot be opened ({error}); expected {_LAYOUT}"]) from error
    except Exception as error:  # SciPy raises many types of errors for damaged files
        raise CatalogueError(str(path), [f"not a MATLAB file that can be read ({error})"]) from error
    return content


def _labelled(path: Path, content: dict[str, Any], field: str) -> Iterator[tuple[str, int]]:
    """Path and class of each annotation."""
    annotations = content.get("annotations")
    if not isinstance(annotations, list) or not all(
        {field, "class"} <= annotation.keys() for annotation in annotations
    ):
        raise CatalogueError(str(path), [f"no `annotations` with the fields {field} and class; expected {_LAYOUT}"])
    for annotation in annotations:
        yield str(annotation[field]), int(annotation["class"])
