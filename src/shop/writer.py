"""Writing a shop to a folder, whole or not at all, and opening it."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rich.progress import Progress

from src.contracts.errors import LookalikeError
from src.contracts.tables import validate_items
from src.shop.clicks import EXAMINATION, RELEVANCE, interactions_table
from src.shop.listing import items_table
from src.shop.products import plan_products
from src.shop.workforce import shoot_all

__all__ = ["GENERATOR", "open_shop", "write_shop"]

GENERATOR = 1
"""Version of the simulator: raised whenever the same settings give other files."""

_MANIFEST = "shop.json"


@dataclass(frozen=True)
class _Settings:
    parents: int
    seed: int
    image_size: int
    sessions: int

    def check(self) -> None:
        least = {"parents": 10, "seed": 0, "image_size": 32, "sessions": 0}
        wrong = [
            f"`{name}={value}`: must be at least {least[name]}"
            for name, value in asdict(self).items()
            if value < least[name]
        ]
        if self.parents > 99_999:
            wrong.append(f"`parents={self.parents}`: at most 99999 products have ids")
        if wrong:
            raise LookalikeError("built-in shop: " + "; ".join(wrong))


def write_shop(
    root: Path,
    *,
    parents: int,
    seed: int,
    image_size: int,
    sessions: int,
    workers: int | None = None,
    progress: bool = True,
) -> None:
    """Write a shop: items.parquet, interactions.parquet, images/, masks/ and shop.json.

    The same settings give the same bytes, whatever the number of workers. The shop is written beside `root` and renamed
    when it is whole. A folder that holds this very shop is left as it is.

    Args:
        root: the folder; it must be absent or empty, or hold this very shop.
        parents: products, at least 10.
        seed: all of the shop follows from it.
        image_size: side of the images, in pixels.
        sessions: sessions in the interactions log.
        workers: processes; None for as many as there are processors.
        progress: show a progress bar.

    Raises:
        LookalikeError: settings that cannot work, a folder that cannot be written, or one that holds something else.
    """
    settings = _Settings(parents=parents, seed=seed, image_size=image_size, sessions=sessions)
    settings.check()
    root = Path(root).absolute()
    if _holds(root, settings):
        return
    with _aside(root) as draft:
        _fill(draft, settings, workers, progress)
        try:
            draft.rename(root)
        except OSError as error:
            # Another process was faster; what it wrote must be this very shop.
            if not _holds(root, settings):
                raise LookalikeError(f"{root}: cannot be put in place ({error}); name another folder") from error


def open_shop(root: Path, *, parents: int, seed: int, image_size: int, sessions: int) -> pa.Table:
    """The items table of the shop in a folder, which is written first where it is absent.

    Returns:
        The table in the items schema; `image` and `mask` are relative to `root`.

    Raises:
        LookalikeError: as `write_shop`; in particular, the folder holds a shop of other settings.
    """
    write_shop(root, parents=parents, seed=seed, image_size=image_size, sessions=sessions)
    return validate_items(pq.read_table(Path(root) / "items.parquet"))


def _holds(root: Path, settings: _Settings) -> bool:
    """Whether the folder holds this very shop; False if there is nothing; an error if there is something else."""
    if not root.exists():
        return False
    if not root.is_dir():
        raise LookalikeError(f"{root}: is a file; the shop needs a folder of its own, name another one")
    try:
        found = json.loads((root / _MANIFEST).read_text(encoding="utf-8"))
        made = {**found["settings"], "generator": found["generator"]}
    except FileNotFoundError:
        if any(root.iterdir()):
            raise LookalikeError(
                f"{root}: holds files but no {_MANIFEST}: it is no shop of ours and is left alone; name another one"
            ) from None
        return False
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LookalikeError(
            f"{root / _MANIFEST}: cannot be read ({error}); delete {root} or name another folder"
        ) from error
    wanted: dict[str, Any] = {**asdict(settings), "generator": GENERATOR}
    differing = [
        f"{name} is {made.get(name)}, not {value}" for name, value in wanted.items() if made.get(name) != value
    ]
    if differing:
        raise LookalikeError(
            f"{root}: holds a shop of other settings ({'; '.join(differing)}); "
            "delete the folder to make it anew, or name another one"
        )
    return True


@contextmanager
def _aside(root: Path) -> Iterator[Path]:
    """A temporary folder beside `root`; what is left of it afterwards is removed."""
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{root.name}.", suffix=".draft", dir=root.parent))
    except OSError as error:
        raise LookalikeError(f"{root}: cannot be written ({error.strerror}); name a folder that can") from error
    try:
        draft.chmod(0o755)
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _fill(draft: Path, settings: _Settings, workers: int | None, progress: bool) -> None:
    products = plan_products(settings.parents, settings.seed)
    items = items_table(products, settings.seed)
    for path in {os.path.dirname(path) for name in ("image", "mask") for path in items[name].to_pylist()}:
        (draft / path).mkdir(parents=True, exist_ok=True)
    with Progress(disable=not progress, transient=True) as bar:
        task = bar.add_task("Drawing the built-in shop", total=len(products))
        shoot_all(
            draft,
            products,
            seed=settings.seed,
            image_size=settings.image_size,
            workers=workers,
            done=lambda: bar.advance(task),
        )
    pq.write_table(items, draft / "items.parquet")
    log = interactions_table(products, items, sessions=settings.sessions, seed=settings.seed)
    pq.write_table(log, draft / "interactions.parquet")
    # Last: a folder without it is no shop.
    (draft / _MANIFEST).write_text(_manifest(settings, items, log), encoding="utf-8")


def _manifest(settings: _Settings, items: pa.Table, log: pa.Table) -> str:
    content = {
        "generator": GENERATOR,
        "settings": asdict(settings),
        "images": items.num_rows,
        "items": len(items["item_id"].unique()),
        "events": log.num_rows,
        "click_model": {
            "model": "position-based: P(click) = examination(rank) x relevance(grade)",
            "examination": list(EXAMINATION),
            "relevance": dict(zip(("other", "same_category", "same_parent", "same_item"), RELEVANCE, strict=True)),
        },
    }
    return json.dumps(content, indent=2) + "\n"
