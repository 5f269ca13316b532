"""Lamps, chairs and sofas."""

import numpy as np

from src.shop.blueprint import Role
from src.shop.categories._category import Category
from src.shop.drawing import FABRIC, Sketch
from src.shop.shapes import Points, arc, box, ellipse, mirror, path, rounded_box, smooth, symmetric

__all__ = ["CHAIR", "LAMP", "SOFA"]


def _draw_lamp(s: Sketch) -> None:
    t = s.traits
    w, h, stem = t.num("shade_width"), t.num("shade_height"), t.num("stem")
    top = -0.88
    low = top + h
    foot = low + stem
    base = t.word("base")
    if base == "tripod":
        for x in (-0.38, 0.0, 0.38):
            s.stroke(path((0, low + 0.05), (x, foot)), 0.06, Role.TRIM)
    elif base == "gourd":
        s.fill(
            smooth(
                symmetric(
                    path((-0.05, low - 0.02), (-0.09, low + 0.08), (-0.26, foot - 0.3), (-0.2, foot), (-0.1, foot))
                ),
                3,
            ),
            Role.SECONDARY,
        )
    else:
        s.stroke(path((0, low - 0.05), (0, foot)), 0.07, Role.TRIM)
        if base == "disc":
            s.fill(ellipse(0, foot, 0.34, 0.08), Role.TRIM)
        elif base == "block":
            s.fill(rounded_box(0, foot - 0.06, 0.4, 0.24, 0.03), Role.SECONDARY)
        else:
            for y in np.linspace(low + 0.12, foot - 0.1, 3):
                s.fill(ellipse(0, float(y), 0.14, 0.11), Role.SECONDARY)
            s.fill(ellipse(0, foot, 0.3, 0.08), Role.TRIM)
    kind = t.word("shade")
    shade: Points = {
        "cone": symmetric(path((-w * 0.35, top), (-w, low))),
        "drum": rounded_box(0, (top + low) / 2, 1.8 * w, h, 0.03),
        "dome": np.concatenate([arc(0, low, w, h, 180, 360, 24)]),
        "bell": smooth(
            symmetric(path((-w * 0.3, top), (-w * 0.3, top), (-w * 0.42, top + h * 0.6), (-w, low), (-w, low))), 2
        ),
    }[kind]
    s.fill(shade)
    edge = t.word("edge")
    if edge == "band":
        s.stroke(path((-w * 0.97, low - 0.03), (w * 0.97, low - 0.03)), 0.08, Role.SECONDARY, lift=0.2)
    elif edge == "fringe":
        for x in np.linspace(-0.92, 0.92, 12):
            s.stroke(path((x * w, low - 0.01), (x * w, low + 0.13)), 0.04, Role.ACCENT, lift=0.2)
    if t.word("switch") == "cord":
        s.stroke(path((w * 0.45, low - 0.02), (w * 0.45, low + 0.3)), 0.025, Role.DARK)
        s.button(w * 0.45, low + 0.32, 0.055)


def _legs(s: Sketch, kind: str, w: float, top: float, floor: float) -> None:
    for sign in (-1, 1):
        if kind == "splayed":
            s.stroke(path((sign * w * 0.75, top), (sign * w * 1.05, floor)), 0.07, Role.TRIM)
            s.stroke(path((sign * w * 0.45, top), (sign * w * 0.6, floor - 0.1)), 0.055, Role.TRIM)
        elif kind == "straight":
            s.stroke(path((sign * w * 0.86, top), (sign * w * 0.86, floor)), 0.1, Role.TRIM)
            s.stroke(path((sign * w * 0.6, top), (sign * w * 0.6, floor - 0.12)), 0.07, Role.TRIM)
        elif kind == "hairpin":
            s.stroke(path((sign * w * 0.6, top), (sign * w * 0.85, floor), (sign * w * 0.95, top)), 0.035, Role.DARK)
    if kind == "pedestal":
        s.stroke(path((0, top), (0, floor - 0.05)), 0.1, Role.TRIM)
        s.fill(ellipse(0, floor - 0.04, w * 0.7, 0.07), Role.TRIM)
    elif kind == "sled":
        s.stroke(path((-w * 0.85, top), (-w * 0.85, floor), (w * 0.85, floor), (w * 0.85, top)), 0.055, Role.TRIM)


def _draw_chair(s: Sketch) -> None:
    t = s.traits
    w, h, seat = t.num("width"), t.num("back_height"), t.num("seat")
    level, floor = 0.18, 0.92
    top = level - h
    _legs(s, t.word("legs"), w, level + seat / 2, floor)
    back = t.word("back")
    if back == "round":
        s.fill(
            smooth(
                path(
                    (-w * 0.8, level),
                    (-w, top + 0.2),
                    (-w * 0.6, top),
                    (w * 0.6, top),
                    (w, top + 0.2),
                    (w * 0.8, level),
                ),
                3,
            )
        )
    elif back == "square":
        s.fill(rounded_box(0, (top + level) / 2, 1.7 * w, h, 0.08))
    elif back == "slats":
        for x in np.linspace(-0.75, 0.75, 5):
            s.stroke(path((x * w, level), (x * w, top + 0.05)), 0.07, Role.TRIM)
        s.fill(rounded_box(0, top + 0.05, 1.8 * w, 0.18, 0.06))
    else:
        s.stroke(rounded_box(0, (top + level) / 2, 1.6 * w, h, 0.2), 0.1, FABRIC, closed=True)
        s.fill(rounded_box(0, (top + level) / 2, 1.5 * w, 0.18, 0.03))
    tuft = t.word("tuft")
    if tuft == "buttons" and back in ("round", "square"):
        for x in (-0.4, 0.4):
            for y in (0.3, 0.62):
                s.button(x * w, top + y * h, 0.045)
    elif tuft == "cushion":
        s.fill(rounded_box(0, level - 0.22, 0.95 * w, 0.38, 0.12), Role.SECONDARY)
    elif tuft == "headrest":
        s.fill(rounded_box(0, top + 0.08, 1.2 * w, 0.2, 0.08), Role.SECONDARY)
    s.fill(
        smooth(
            path(
                (-w * 0.9, level - 0.06), (w * 0.9, level - 0.06), (w * 1.02, level + seat), (-w * 1.02, level + seat)
            ),
            1,
        )
    )
    arms = t.word("arms")
    if arms != "none":
        for sign in (-1, 1):
            bar = path((sign * w * 0.95, level + 0.08), (sign * w * 1.15, level - 0.3), (sign * w * 0.75, level - 0.32))
            s.stroke(
                smooth(bar, 2, closed=False) if arms == "curved" else bar, 0.085, Role.TRIM if arms == "bar" else FABRIC
            )


def _draw_sofa(s: Sketch) -> None:
    t = s.traits
    w, h, arm = t.num("width"), t.num("back_height"), t.num("arm")
    level, floor = 0.12, 0.52
    top = level - h
    feet = t.word("feet")
    for x in (-0.85, 0.85) if feet != "none" else ():
        role = Role.TRIM if feet == "wood" else Role.DARK
        s.stroke(path((x * w, floor - 0.05), (x * w * (1.06 if feet == "wood" else 1.0), floor + 0.2)), 0.07, role)
    back = t.word("back")
    if back == "curved":
        s.fill(
            smooth(
                path(
                    (-w * 0.9, level + 0.1),
                    (-w * 0.9, top + 0.2),
                    (0, top - 0.18),
                    (w * 0.9, top + 0.2),
                    (w * 0.9, level + 0.1),
                ),
                3,
            )
        )
    elif back == "camel":
        s.fill(
            smooth(
                path(
                    (-w * 0.9, level + 0.1),
                    (-w * 0.9, top),
                    (-w * 0.4, top + 0.16),
                    (0, top - 0.16),
                    (w * 0.4, top + 0.16),
                    (w * 0.9, top),
                    (w * 0.9, level + 0.1),
                ),
                2,
            )
        )
    else:
        s.fill(rounded_box(0, (top + level) / 2 + 0.05, 1.8 * w, h + 0.1, 0.08))
    seats = t.count("seats")
    inner = w - arm * 0.8
    for k in range(seats):
        x = -inner + (2 * k + 1) * inner / seats
        if t.word("tuft") == "buttons":
            for dy in (0.25, 0.55):
                s.button(x, top + dy * h, 0.04)
        s.fill(rounded_box(x, level + 0.1, 2 * inner / seats - 0.015, 0.26, 0.07))
    s.fill(rounded_box(0, level + 0.32, 1.9 * w, 0.22, 0.04))
    kind = t.word("arms")
    for sign in (-1, 1):
        x = sign * (w - arm / 2)
        if kind == "round":
            s.fill(rounded_box(x, level + 0.2, arm, 0.52, 0.05))
            s.fill(ellipse(x, level - 0.06, arm * 0.66), FABRIC)
        elif kind == "square":
            s.fill(rounded_box(x, level + 0.13, arm, 0.64, 0.04))
        else:
            s.fill(
                smooth(
                    path(
                        (x - arm / 2, level - 0.02),
                        (x + arm / 2 + sign * 0.06, level - 0.3),
                        (x + arm / 2, level + 0.44),
                        (x - arm / 2, level + 0.44),
                    ),
                    2,
                )
            )
    number = t.count("cushions")
    for k in range(number):
        x = 0.0 if number == 1 else (-1 + 2 * k) * (inner - 0.2)
        square = box(x, level - 0.14, 0.3, 0.3)
        s.fill(smooth(np.repeat(square, 2, axis=0), 2), Role.ACCENT if k else Role.SECONDARY)
    s.fill(mirror(box(0, floor - 0.01, 1.7 * w, 0.03)), Role.DARK, lift=0)


LAMP = Category(
    draw=_draw_lamp,
    shape={"shade_width": (0.42, 0.72), "shade_height": (0.4, 0.75), "stem": (0.55, 0.95)},
    kinds={
        "shade": ("cone", "drum", "dome", "bell"),
        "base": ("disc", "tripod", "block", "gourd", "spindle"),
        "edge": ("none", "band", "fringe"),
        "switch": ("none", "cord"),
    },
    materials=("cotton", "canvas", "wicker", "metal", "plastic"),
    price=65,
    printed=0.0,
    subtle=frozenset({"stem"}),
)
CHAIR = Category(
    draw=_draw_chair,
    shape={"width": (0.38, 0.56), "back_height": (0.65, 1.08), "seat": (0.1, 0.22)},
    kinds={
        "back": ("round", "square", "slats", "frame"),
        "legs": ("splayed", "straight", "hairpin", "pedestal", "sled"),
        "arms": ("none", "bar", "curved"),
        "tuft": ("none", "cushion", "headrest"),
    },
    materials=("cotton", "wicker", "leather", "corduroy", "wood"),
    price=140,
    printed=0.0,
    subtle=frozenset({"seat"}),
)
SOFA = Category(
    draw=_draw_sofa,
    shape={"width": (0.7, 0.95), "back_height": (0.4, 0.75), "arm": (0.16, 0.3)},
    kinds={
        "back": ("straight", "curved", "camel"),
        "arms": ("round", "square", "sloped"),
        "seats": (1, 2, 3),
        "feet": ("none", "wood", "block"),
        "cushions": (0, 1, 2),
        "tuft": ("none", "buttons"),
    },
    materials=("cotton", "corduroy", "leather", "suede", "quilted"),
    price=650,
    printed=0.0,
    subtle=frozenset({"arm"}),
)
