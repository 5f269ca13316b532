"""A reference of simulated queries for the folder, and draws of the same distribution."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from src.contracts.drift_reference import DriftReference
from src.export.drift_reference import drift_reference
from src.monitoring.drift.window import Window

DIM = 24
_MIXING = np.random.default_rng(5).standard_normal((8, DIM))

Draw = Callable[..., dict[str, Any]]


def _draw(rng: np.random.Generator, count: int) -> dict[str, Any]:
    """Dependent dimensions, ties, constants, and a share that is 0 for half of the photos."""
    raw = rng.standard_normal((count, 8)) @ _MIXING + 0.2 * rng.standard_normal((count, DIM))
    norms = np.linalg.norm(raw, axis=1)
    width = rng.choice([400, 600, 800], count)
    inputs = [rng.gamma(9, 12, count), width, np.full(count, 600), width / 600]
    grey = np.where(rng.random(count) < 0.5, 0, rng.random(count))
    return {
        "embeddings": (raw / norms[:, None]).astype(np.float32),
        "norms": norms.astype(np.float32),
        "top_scores": rng.beta(8, 2, count).astype(np.float32),
        "inputs": np.column_stack([*inputs, grey]).astype(np.float32),
        "categories": [str(name) for name in rng.choice(["bags", "boots", "hats"], count, p=[0.6, 0.3, 0.1])],
        "ids": [f"request-{rng.integers(10**9)}" for _ in range(count)],
    }


@pytest.fixture(scope="session")
def draw() -> Draw:
    return _draw


@pytest.fixture(scope="session")
def reference() -> DriftReference:
    found = _draw(np.random.default_rng(0), 3000)
    scalars = np.column_stack([found["norms"], found["top_scores"], found["inputs"]]).astype(np.float32)
    return drift_reference(found["embeddings"], scalars, found["categories"], encoder_id="simulated")


@pytest.fixture
def window(reference: DriftReference) -> Callable[..., Window]:
    """A window of draws; `changed` takes and gives the arguments of `add`."""

    def made(seed: int, count: int, changed: Callable[[dict], dict] = lambda found: found) -> Window:
        window = Window.empty(reference)
        window.add(**changed(_draw(np.random.default_rng(seed), count)), at=1000.0 + seed)
        return window

    return made
