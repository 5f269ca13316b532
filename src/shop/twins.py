"""Frustratingly similar twins: all traits equal but one."""

from collections.abc import Sequence

import numpy as np

from src.shop.categories import Category
from src.shop.drawing import Sketch
from src.shop.palette import Colourway
from src.shop.patterns import STYLE_OF
from src.shop.prints import EMBLEMS
from src.shop.traits import Traits, Value

__all__ = ["twin_traits"]

_SMALL = 0.3
"""Below this period a pattern's twin is coarser, above it finer."""

_RATIO = 1.8
_SIDE = 80
"""Side of the pictures that twins are compared in, in pixels."""

_VISIBLE = 0.008
"""Share of the pixels that a twin's detail must change: a square of a twelfth of the side."""

_CONTRAST = 48.0


def twin_traits(rng: np.random.Generator, spec: Category, traits: Traits, colourways: Sequence[Colourway]) -> Traits:
    """The traits of a product's twin: one of them is changed, by enough to be seen in each of the colourways."""
    changes = _changes(rng, spec, traits)
    names = [list(changes)[int(k)] for k in rng.permutation(len(changes))]
    original = _pictures(spec, traits, colourways)
    best, most = traits, -1
    for name in names:
        twin = traits.replaced(name, changes[name])
        pictures = _pictures(spec, twin, colourways)
        changed = min(_changed_pixels(a, b) for a, b in zip(original, pictures, strict=True))
        if changed >= _VISIBLE * _SIDE**2:
            return twin
        if changed > most:
            best, most = twin, changed
    return best


def _pictures(spec: Category, traits: Traits, colourways: Sequence[Colourway]) -> list[np.ndarray]:
    sketch = Sketch(traits, _SIDE)
    spec.draw(sketch)
    drawn = sketch.finished()
    return [drawn.coloured(colourway, traits.word("trim")) for colourway in colourways]


def _changed_pixels(a: np.ndarray, b: np.ndarray) -> int:
    return int(np.count_nonzero(np.abs(a - b).max(axis=2) > _CONTRAST))


def _changes(rng: np.random.Generator, spec: Category, traits: Traits) -> dict[str, Value]:
    changes: dict[str, Value] = {}
    for name, (low, high) in spec.shape.items():
        if name not in spec.subtle:
            # Half of the range away, whichever side has room.
            half = (high - low) / 2
            value = traits.num(name)
            changes[name] = value + half if value + half <= high else value - half
    for name, kinds in spec.kinds.items():
        others = sorted({kind for kind in kinds if kind != traits.values[name]}, key=str)
        if others and name not in spec.subtle:
            changes[name] = others[int(rng.integers(len(others)))]
    if traits.count("print") >= 0:
        # Neighbouring numbers have different outer shapes.
        changes["print"] = (traits.count("print") + int(rng.integers(1, 11))) % EMBLEMS
    if STYLE_OF[traits.word("pattern")] in ("striped", "checked", "dotted", "geometric") and not spec.small:
        scale = traits.num("pattern_scale")
        changes["pattern_scale"] = scale * _RATIO if scale < _SMALL else scale / _RATIO
    if STYLE_OF[traits.word("pattern")] == "striped" and not spec.small:
        changes["pattern_angle"] = traits.num("pattern_angle") + 45.0
    return changes
