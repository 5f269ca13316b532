"""T-shirts, jumpers, shirts and jackets: a torso, two sleeves, and what is sewn on."""

import numpy as np

from src.shop.blueprint import Role
from src.shop.categories._category import CLOTH, Category
from src.shop.drawing import FABRIC, Sketch
from src.shop.shapes import Points, arc, box, ellipse, mirror, path, rounded_box, smooth, symmetric

__all__ = ["JACKET", "JUMPER", "SHIRT", "T_SHIRT"]

_SHOULDER = -0.6


def _torso(s: Sketch) -> Points:
    t = s.traits
    w, taper, hem = t.num("width"), t.num("taper"), t.num("length")
    left = path((-0.15, -0.7), (-0.22, -0.69), (-w - 0.02, _SHOULDER), (-w, -0.2), (-w + taper, 0.2), (-w, hem))
    return np.concatenate([smooth(symmetric(left), 2)])


def _sleeves(s: Sketch, cuff: str) -> None:
    t = s.traits
    w, length, bulk = t.num("width"), t.num("sleeve"), t.num("sleeve_width")
    # Short sleeves stand off, long ones hang.
    lean = np.radians(np.interp(length, [0.3, 1.2], [42, 12]))
    along = np.array([-np.sin(lean), np.cos(lean)])
    across = np.array([-np.cos(lean), -np.sin(lean)])
    top = np.array([-w + 0.03, _SHOULDER - 0.02])
    for side in (False, True):
        outer = top + along * length + across * bulk * 0.25
        inner = outer - across * bulk * 0.8
        sleeve = np.stack([top, top + along * 0.12 + across * 0.1, outer, inner, np.array([-w + 0.04, -0.12])])
        end = np.stack([outer - along * 0.09, outer + across * 0.008, inner - across * 0.008, inner - along * 0.09])
        shapes = [sleeve, end]
        if side:
            shapes = [mirror(shape) for shape in shapes]
        degrees = float(np.degrees(lean)) * (-1 if side else 1)
        s.fill(smooth(shapes[0], 1), angle=degrees)
        if cuff == "contrast":
            s.fill(shapes[1], Role.SECONDARY, lift=0.3)
        elif cuff == "ribbed":
            s.fill(shapes[1], Role.PRIMARY, lift=0.6)


def _neckline(s: Sketch, kind: str) -> None:
    if kind == "v":
        opening = path((-0.16, -0.72), (0.16, -0.72), (0, -0.34))
    elif kind == "scoop":
        opening = symmetric(arc(0, -0.72, 0.22, 0.3, 180, 90, 12))
    elif kind == "boat":
        opening = symmetric(arc(0, -0.72, 0.3, 0.12, 180, 90, 12))
    else:
        opening = symmetric(arc(0, -0.72, 0.15, 0.15, 180, 90, 12))
    if kind == "turtle":
        s.fill(rounded_box(0, -0.72, 0.34, 0.26, 0.06), FABRIC)
        s.seam(path((-0.16, -0.66), (0.16, -0.66)), 0.3)
        return
    if kind == "hood":
        s.fill(smooth(path((-0.3, -0.62), (-0.26, -0.92), (0.26, -0.92), (0.3, -0.62), (0, -0.42)), 3))
        s.fill(smooth(path((-0.17, -0.66), (-0.14, -0.84), (0.14, -0.84), (0.17, -0.66), (0, -0.5)), 3), Role.DARK)
        for x in (-0.07, 0.07):
            s.stroke(path((x, -0.52), (x * 1.3, -0.26)), 0.025, Role.LIGHT)
        return
    s.fill(opening, Role.DARK, relief=0, lift=0)
    s.stroke(np.concatenate([opening[: len(opening)]]), 0.045, Role.SECONDARY, closed=True, lift=0.3)
    # What stands above the shoulders is the far side of the collar.
    s.cut(path((-0.5, -1), (0.5, -1), (0.5, -0.715), (-0.5, -0.715)))


def _collar(s: Sketch, kind: str) -> None:
    if kind == "band":
        s.fill(rounded_box(0, -0.7, 0.3, 0.12, 0.04), Role.PRIMARY)
    else:
        s.fill(path((-0.13, -0.76), (0.13, -0.76), (0, -0.52)), Role.DARK, relief=0, lift=0)
        if kind == "point":
            leaf = path((-0.16, -0.76), (-0.08, -0.77), (0.0, -0.54), (-0.17, -0.44), (-0.23, -0.66))
        else:
            leaf = smooth(path((-0.16, -0.76), (-0.06, -0.77), (0.0, -0.54), (-0.13, -0.44), (-0.27, -0.62)), 3)
        role = Role.SECONDARY if kind == "contrast" else FABRIC
        s.fill(leaf, role, angle=30)
        s.fill(mirror(leaf), role, angle=-30)


def _hem(s: Sketch, role: Role) -> None:
    w, hem = s.traits.num("width"), s.traits.num("length")
    s.fill(rounded_box(0, hem - 0.05, 2 * w - 0.02, 0.1, 0.03), role, lift=0.5)


def _pocket(s: Sketch, x: float, y: float, width: float = 0.22, height: float = 0.22) -> None:
    s.fill(smooth(path((x - width / 2, y), (x + width / 2, y), (x + width / 2, y + height * 0.8), (x, y + height),
                       (x - width / 2, y + height * 0.8)), 1))  # fmt: skip
    s.stroke(path((x - width / 2, y + 0.02), (x + width / 2, y + 0.02)), 0.035, Role.SECONDARY, lift=0.2)


def _pockets(s: Sketch, kind: str) -> None:
    w, hem = s.traits.num("width"), s.traits.num("length")
    if kind == "chest":
        _pocket(s, 0.2, -0.32)
    elif kind == "pair":
        _pocket(s, 0.21, -0.32, 0.2, 0.2)
        _pocket(s, -0.21, -0.32, 0.2, 0.2)
    elif kind == "kangaroo":
        s.fill(path((-0.18, hem - 0.42), (0.18, hem - 0.42), (0.3, hem - 0.14), (-0.3, hem - 0.14)))
        for sign in (-1, 1):
            s.stroke(path((sign * 0.18, hem - 0.42), (sign * 0.3, hem - 0.14)), 0.04, Role.SECONDARY, lift=0.2)
    elif kind == "flap":
        for x in (-w * 0.55, w * 0.55):
            s.fill(rounded_box(x, hem - 0.28, 0.26, 0.12, 0.02), Role.SECONDARY)
    elif kind == "patch":
        for x in (-w * 0.55, w * 0.55):
            s.fill(rounded_box(x, hem - 0.24, 0.26, 0.28, 0.05))
            s.seam(path((x - 0.13, hem - 0.32), (x + 0.13, hem - 0.32)), 0.4, 0.02)


def _front(s: Sketch, kind: str) -> None:
    hem = s.traits.num("length")
    if kind == "zip":
        s.stroke(path((0, -0.52), (0, hem)), 0.06, Role.DARK, lift=0.3)
        s.stroke(path((0, -0.5), (0, hem)), 0.028, Role.TRIM, lift=0)
        s.fill(rounded_box(0, -0.42, 0.05, 0.12, 0.02), Role.TRIM)
        return
    s.seam(path((0.05, -0.55), (0.05, hem)), 0.35)
    columns = (-0.14, 0.14) if kind.startswith("double") else (0.0,)
    number = {"two": 2, "double": 3, "four": 4, "six": 6}[kind]
    for y in np.linspace(-0.4, hem - 0.16, number):
        for x in columns:
            s.button(x, float(y), 0.042)


def _draw_t_shirt(s: Sketch) -> None:
    t = s.traits
    _sleeves(s, t.word("cuffs"))
    s.fill(_torso(s))
    if t.word("hem") == "contrast":
        _hem(s, Role.SECONDARY)
    _neckline(s, t.word("neckline"))
    _pockets(s, t.word("pocket"))
    s.emblem(0, -0.08, t.num("print_size"))


def _draw_jumper(s: Sketch) -> None:
    t = s.traits
    _sleeves(s, t.word("cuffs"))
    s.fill(_torso(s))
    _hem(s, Role.SECONDARY if t.word("cuffs") == "contrast" else Role.PRIMARY)
    if t.word("band") == "chest":
        s.fill(box(0, -0.06, 2 * t.num("width") - 0.06, 0.22), Role.SECONDARY, relief=0.2, lift=0.1)
    elif t.word("band") == "yoke":
        s.fill(smooth(symmetric(arc(0, -0.7, 0.42, 0.42, 180, 90, 12)), 1), Role.SECONDARY, relief=0.2, lift=0.1)
    _neckline(s, t.word("neckline"))
    _pockets(s, t.word("pocket"))
    s.emblem(0, 0.0, t.num("print_size"))


def _draw_shirt(s: Sketch) -> None:
    t = s.traits
    _sleeves(s, t.word("cuffs"))
    s.fill(_torso(s))
    if t.word("hem") == "curved":
        w, hem = t.num("width"), t.num("length")
        for x in (-w, w):
            s.cut(ellipse(x, hem + 0.02, 0.2, 0.18))
    _front(s, t.word("buttons"))
    _collar(s, t.word("collar"))
    _pockets(s, t.word("pocket"))


def _draw_jacket(s: Sketch) -> None:
    t = s.traits
    _sleeves(s, t.word("cuffs"))
    s.fill(_torso(s))
    _front(s, t.word("front"))
    kind = t.word("lapel")
    if kind == "hood":
        _neckline(s, "hood")
    elif kind == "stand":
        s.fill(rounded_box(0, -0.7, 0.36, 0.2, 0.05), Role.SECONDARY)
    else:
        s.fill(path((-0.12, -0.74), (0.12, -0.74), (0, -0.3)), Role.LIGHT, relief=0, lift=0)
        leaf = path(
            (-0.14, -0.76), (-0.04, -0.7), (0.0, -0.26), (-0.2, -0.3), (-0.34, -0.5), (-0.22, -0.54), (-0.26, -0.64)
        )
        if kind == "shawl":
            leaf = smooth(path((-0.14, -0.76), (-0.05, -0.72), (0.0, -0.26), (-0.22, -0.36), (-0.26, -0.64)), 3)
        for shape in (leaf, mirror(leaf)):
            s.fill(shape, Role.SECONDARY if t.word("cuffs") == "contrast" else FABRIC, angle=20)
    _pockets(s, t.word("pocket"))
    if t.word("belt") == "belt":
        s.fill(box(0, 0.12, 2 * t.num("width") - 0.02, 0.11), Role.PRIMARY)
        s.stroke(rounded_box(0, 0.12, 0.14, 0.14, 0.03), 0.035, Role.TRIM, closed=True)


_FIT = {"width": (0.36, 0.5), "taper": (-0.05, 0.08), "sleeve_width": (0.2, 0.32)}
_SUBTLE = frozenset({"taper", "sleeve_width", "width", "print_size"})

T_SHIRT = Category(
    draw=_draw_t_shirt,
    shape={**_FIT, "length": (0.4, 0.85), "sleeve": (0.26, 0.62), "print_size": (0.14, 0.24)},
    kinds={
        "neckline": ("crew", "v", "scoop", "boat"),
        "pocket": ("none", "none", "chest", "pair"),
        "cuffs": ("plain", "contrast"),
        "hem": ("plain", "contrast"),
    },
    materials=("cotton", "cotton", "canvas", "satin"),
    price=24,
    printed=0.8,
    subtle=_SUBTLE,
)
JUMPER = Category(
    draw=_draw_jumper,
    shape={**_FIT, "length": (0.4, 0.75), "sleeve": (0.8, 1.2), "print_size": (0.15, 0.24)},
    kinds={
        "neckline": ("crew", "v", "turtle", "hood"),
        "pocket": ("none", "kangaroo"),
        "cuffs": ("ribbed", "contrast"),
        "band": ("none", "none", "chest", "yoke"),
    },
    materials=("knit", "knit", "cable_knit", "cotton"),
    price=55,
    subtle=_SUBTLE,
)
SHIRT = Category(
    draw=_draw_shirt,
    shape={**_FIT, "length": (0.5, 0.9), "sleeve": (0.32, 1.2)},
    kinds={
        "collar": ("point", "round", "band", "contrast"),
        "buttons": ("two", "four", "six"),
        "pocket": ("none", "chest", "pair"),
        "cuffs": ("plain", "contrast"),
        "hem": ("straight", "curved"),
    },
    materials=CLOTH,
    price=42,
    printed=0.0,
    plain=0.2,
    subtle=_SUBTLE,
)
JACKET = Category(
    draw=_draw_jacket,
    shape={**_FIT, "length": (0.35, 0.92), "sleeve": (0.9, 1.2)},
    kinds={
        "lapel": ("notch", "shawl", "stand", "hood"),
        "front": ("zip", "two", "double", "four"),
        "pocket": ("none", "flap", "patch"),
        "cuffs": ("plain", "contrast"),
        "belt": ("none", "none", "belt"),
    },
    materials=("denim", "leather", "quilted", "corduroy", "canvas", "suede"),
    price=110,
    printed=0.0,
    plain=0.5,
    subtle=_SUBTLE,
)
