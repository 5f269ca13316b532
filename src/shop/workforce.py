"""Taking all pictures of a shop in several processes."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2

from src.shop.products import Product
from src.shop.studio import shoot

__all__ = ["shoot_all"]

_REPOSITORY = Path(__file__).resolve().parents[2]
_WORTH_A_PROCESS = 8
"""Products that take about as long as starting a process does."""


def shoot_all(
    root: Path,
    products: tuple[Product, ...],
    *,
    seed: int,
    image_size: int,
    workers: int | None,
    done: Callable[[], None],
) -> None:
    """Write the images and masks of all products.

    The processes are plain child interpreters, not `multiprocessing` ones: a fork hangs after OpenMP was used, and a
    spawn imports the caller's main module again, torch included, before it draws its first line.

    Args:
        root: where `images/` and `masks/` are.
        products: the shop's products.
        seed: the shop's.
        image_size: side of the images, in pixels.
        workers: processes; None for as many as there are processors. The files don't depend on it.
        done: called after each product.

    Raises:
        RuntimeError: a process failed; its own message is on stderr.
    """
    shares = min(workers or os.cpu_count() or 1, max(len(products) // _WORTH_A_PROCESS, 1))
    if shares == 1:
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)
        try:
            for product in products:
                shoot(root, product, seed=seed, image_size=image_size)
                done()
        finally:
            cv2.setNumThreads(threads)
        return
    order = {"root": str(root), "parents": len(products), "seed": seed, "image_size": image_size, "shares": shares}
    _in_processes([json.dumps({**order, "share": share}) for share in range(shares)], done)


def _in_processes(orders: list[str], done: Callable[[], None]) -> None:
    # All children write short lines into one pipe, which ends when the last of them does.
    read, write = os.pipe()
    children: list[subprocess.Popen[bytes]] = []
    search = os.pathsep.join(filter(None, [str(_REPOSITORY), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": search, "OMP_NUM_THREADS": "1"}
    try:
        for order in orders:
            command = [sys.executable, "-m", "src.shop._worker", order]
            # Our own module with our own JSON, without a shell.
            children.append(subprocess.Popen(command, stdout=write, cwd=_REPOSITORY, env=environment))  # noqa: S603
        os.close(write)
        write = -1
        with os.fdopen(read, "rb") as lines:
            for _ in lines:
                done()
        failed = [child.wait() for child in children if child.wait() != 0]
        if failed:
            raise RuntimeError(f"{len(failed)} of {len(orders)} drawing processes failed, exit codes {failed}")
    finally:
        if write >= 0:
            os.close(write)
        for child in children:
            if child.poll() is None:
                child.kill()
                child.wait()
