"""Handbags and backpacks."""

import numpy as np

from src.shop.blueprint import Role
from src.shop.categories._category import LEATHERS, Category
from src.shop.drawing import FABRIC, Sketch
from src.shop.shapes import arc, box, ellipse, path, rounded_box, smooth

__all__ = ["BACKPACK", "HANDBAG"]


def _draw_handbag(s: Sketch) -> None:
    t = s.traits
    w, h, top = t.num("width"), t.num("height"), -0.15
    bottom = top + h
    _bag_handle(s, t.word("handle"), w, top)
    kind = t.word("body")
    body = {
        "box": rounded_box(0, top + h / 2, 2 * w, h, 0.07),
        "trapezoid": smooth(
            path(
                (-w * 0.72, top),
                (w * 0.72, top),
                (w, bottom - 0.05),
                (w * 0.96, bottom),
                (-w * 0.96, bottom),
                (-w, bottom - 0.05),
            ),
            1,
        ),
        "round": ellipse(0, top + h / 2, w, h / 2),
        "slouch": smooth(
            path(
                (-w * 0.9, top),
                (0, top + 0.1),
                (w * 0.9, top),
                (w, bottom - 0.1),
                (w * 0.6, bottom),
                (-w * 0.6, bottom),
                (-w, bottom - 0.1),
            ),
            3,
        ),
    }[kind]
    s.fill(body)
    flap = t.word("flap")
    if flap == "half":
        s.fill(
            smooth(
                path(
                    (-w * 0.84, top),
                    (-w * 0.84, top),
                    (w * 0.84, top),
                    (w * 0.84, top),
                    (w * 0.8, top + h * 0.4),
                    (-w * 0.8, top + h * 0.4),
                ),
                2,
            ),
            Role.PRIMARY,
        )
    elif flap == "pointed":
        s.fill(path((-w * 0.84, top), (w * 0.84, top), (0, top + h * 0.62)), Role.SECONDARY)
    elif flap == "zip":
        s.stroke(path((-w * 0.6, top + 0.14), (w * 0.6, top + 0.14)), 0.05, Role.TRIM)
    clasp, y = t.word("clasp"), top + h * 0.42
    if clasp == "round":
        s.button(0, y, 0.085)
    elif clasp == "bar":
        s.fill(rounded_box(0, y, 0.3, 0.08, 0.03), Role.TRIM)
    elif clasp == "frame":
        s.stroke(rounded_box(0, y, 0.2, 0.2, 0.03), 0.05, Role.TRIM, closed=True)
    if t.word("base") == "contrast":
        s.fill(rounded_box(0, bottom - 0.07, 1.7 * w, 0.18, 0.07), Role.SECONDARY, lift=0.4)
    elif t.word("base") == "studs":
        for x in np.linspace(-0.7 * w, 0.7 * w, 6):
            s.button(float(x), bottom - 0.1, 0.042)
    if t.word("charm") == "tassel":
        x = w * 0.62
        s.stroke(path((x, top + 0.02), (x, top + 0.22)), 0.03, Role.TRIM)
        s.fill(
            path((x - 0.04, top + 0.2), (x + 0.04, top + 0.2), (x + 0.09, top + 0.46), (x - 0.09, top + 0.46)),
            Role.ACCENT,
        )
    s.emblem(0, top + h * 0.7, 0.12)


def _bag_handle(s: Sketch, kind: str, w: float, top: float) -> None:
    if kind == "arc":
        s.stroke(arc(0, top + 0.05, w * 0.55, 0.55, 180, 360), 0.085, Role.SECONDARY)
    elif kind == "tall":
        s.stroke(arc(0, top + 0.05, w * 0.66, 0.8, 180, 360), 0.05, FABRIC)
    elif kind == "pair":
        s.stroke(arc(-w * 0.1, top + 0.05, w * 0.5, 0.5, 180, 360), 0.05, Role.PRIMARY)
        s.stroke(arc(w * 0.1, top + 0.05, w * 0.5, 0.42, 180, 360), 0.05, Role.PRIMARY)
    elif kind == "chain":
        for x, y in arc(0, top + 0.05, w * 0.72, 0.75, 180, 360, 17):
            s.button(float(x), float(y), 0.042)
    else:
        s.stroke(
            path((-w * 0.3, top + 0.05), (-w * 0.3, top - 0.2), (w * 0.3, top - 0.2), (w * 0.3, top + 0.05)),
            0.08,
            Role.TRIM,
        )


def _draw_backpack(s: Sketch) -> None:
    t = s.traits
    w, h = t.num("width"), t.num("height")
    top, bottom = 0.85 - h, 0.85
    if t.word("straps") == "wide":
        for sign in (-1, 1):
            s.stroke(
                path((sign * w * 0.6, top + 0.1), (sign * (w + 0.14), top + 0.4), (sign * (w + 0.1), bottom - 0.15)),
                0.13,
                Role.SECONDARY,
            )
    s.stroke(arc(0, top + 0.04, 0.16, 0.16, 180, 360), 0.06, Role.TRIM)
    if t.word("sides") == "pockets":
        for sign in (-1, 1):
            s.fill(rounded_box(sign * w, bottom - 0.26, 0.26, 0.44, 0.1), Role.PRIMARY)
    shape = t.word("shape")
    body = {
        "dome": smooth(
            path(
                (-w, bottom),
                (-w, bottom),
                (-w, top + 0.3),
                (-w * 0.8, top - 0.02),
                (w * 0.8, top - 0.02),
                (w, top + 0.3),
                (w, bottom),
                (w, bottom),
            ),
            3,
        ),
        "square": rounded_box(0, (top + bottom) / 2, 2 * w, h, 0.1),
        "bucket": smooth(
            path(
                (-w * 0.75, top),
                (w * 0.75, top),
                (w * 1.05, bottom - 0.1),
                (w * 0.8, bottom),
                (-w * 0.8, bottom),
                (-w * 1.05, bottom - 0.1),
            ),
            2,
        ),
    }[shape]
    s.fill(body)
    closing = t.word("closing")
    if closing == "zip":
        s.seam(arc(0, top + 0.45, w * 0.86, 0.36, 180, 360), 0.5, 0.05)
        s.fill(rounded_box(w * 0.8, top + 0.48, 0.06, 0.14, 0.02), Role.TRIM)
    elif closing == "flap":
        s.fill(
            smooth(path((-w, top), (-w, top), (w, top), (w, top), (w * 0.92, top + 0.5), (-w * 0.92, top + 0.5)), 2),
            Role.SECONDARY,
        )
    elif closing == "roll":
        s.fill(rounded_box(0, top + 0.02, 2 * w * 0.95, 0.22, 0.1), Role.PRIMARY)
        for sign in (-1, 1):
            s.stroke(path((sign * w * 0.55, top), (sign * w * 0.55, top + 0.4)), 0.05, Role.TRIM)
    _backpack_pocket(s, t.word("pocket"), w, bottom)
    for k in range(t.count("buckles")):
        x = 0.0 if t.count("buckles") == 1 else (-0.5 + k) * w
        s.stroke(path((x, top + 0.3), (x, top + 0.66)), 0.07, Role.TRIM)
        s.stroke(rounded_box(x, top + 0.6, 0.14, 0.1, 0.02), 0.035, Role.DARK, closed=True)
    s.emblem(0, top + 0.34, 0.13)


def _backpack_pocket(s: Sketch, kind: str, w: float, bottom: float) -> None:
    if kind == "wide":
        s.fill(rounded_box(0, bottom - 0.3, 1.6 * w, 0.46, 0.1), Role.SECONDARY)
        s.seam(path((-0.7 * w, bottom - 0.42), (0.7 * w, bottom - 0.42)), 0.5, 0.03)
    elif kind == "pair":
        for sign in (-1, 1):
            s.fill(rounded_box(sign * w * 0.45, bottom - 0.28, 0.7 * w, 0.4, 0.08))
            s.seam(
                path((sign * w * 0.45 - 0.25 * w, bottom - 0.38), (sign * w * 0.45 + 0.25 * w, bottom - 0.38)),
                0.5,
                0.03,
            )
    elif kind == "diamond":
        s.fill(box(0, bottom - 0.24, 2 * w * 0.9, 0.36))
        s.fill(path((0, bottom - 0.42), (0.16, bottom - 0.24), (0, bottom - 0.06), (-0.16, bottom - 0.24)), Role.TRIM)


HANDBAG = Category(
    draw=_draw_handbag,
    shape={"width": (0.5, 0.88), "height": (0.6, 1.0)},
    kinds={
        "body": ("box", "trapezoid", "round", "slouch"),
        "handle": ("arc", "tall", "pair", "chain", "top"),
        "flap": ("none", "half", "pointed", "zip"),
        "clasp": ("none", "round", "bar", "frame"),
        "base": ("none", "contrast", "studs"),
        "charm": ("none", "none", "tassel"),
    },
    materials=(*LEATHERS, "wicker"),
    price=120,
    printed=0.3,
    plain=0.5,
)
BACKPACK = Category(
    draw=_draw_backpack,
    shape={"width": (0.42, 0.62), "height": (1.2, 1.6)},
    kinds={
        "shape": ("dome", "square", "bucket"),
        "closing": ("zip", "flap", "roll"),
        "pocket": ("none", "wide", "pair", "diamond"),
        "buckles": (0, 1, 2),
        "sides": ("none", "pockets"),
        "straps": ("none", "wide"),
    },
    materials=("canvas", "canvas", "leather", "quilted", "denim"),
    price=75,
    printed=0.4,
    plain=0.45,
    subtle=frozenset({"width"}),
)
