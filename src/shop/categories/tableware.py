"""Mugs and bottles."""

import numpy as np

from src.shop.blueprint import Role
from src.shop.categories._category import HARD, Category
from src.shop.drawing import Sketch
from src.shop.shapes import arc, box, ellipse, path, rounded_box, smooth, symmetric

__all__ = ["BOTTLE", "MUG"]


def _draw_mug(s: Sketch) -> None:
    t = s.traits
    w, h, taper = t.num("width"), t.num("height"), t.num("taper")
    top, bottom, x = -h / 2, h / 2, w * 0.85
    role = Role.SECONDARY if t.word("handle_colour") == "contrast" else Role.PRIMARY
    kind = t.word("handle")
    if kind == "ring":
        s.stroke(ellipse(x + 0.2, 0, 0.22, 0.24), 0.11, role, closed=True)
    elif kind == "ear":
        s.stroke(
            smooth(path((x, top + 0.15), (x + 0.42, top + 0.1), (x + 0.4, 0.05), (x, bottom - 0.25)), 3, closed=False),
            0.11,
            role,
        )
    elif kind == "square":
        s.stroke(path((x, top + 0.2), (x + 0.34, top + 0.2), (x + 0.34, bottom - 0.3), (x, bottom - 0.3)), 0.12, role)
    outline = path(
        (-w, top),
        (-w, top),
        (-w * (1 - taper * 0.3), 0),
        (-w * (1 - taper), bottom - 0.04),
        (-w * (1 - taper) + 0.08, bottom),
    )
    s.fill(smooth(symmetric(outline), 2))
    s.fill(ellipse(0, top, w, 0.12), Role.LIGHT if t.word("inside") == "light" else Role.SECONDARY)
    s.fill(ellipse(0, top + 0.015, w - 0.06, 0.085), Role.DARK, lift=0)
    band = t.word("band")
    if band == "base":
        s.fill(rounded_box(0, bottom - 0.1, 2 * w * (1 - taper * 0.9), 0.2, 0.06), Role.SECONDARY, lift=0.1)
    elif band == "rim":
        s.fill(box(0, top + 0.24, 2 * w * (1 - taper * 0.15), 0.12), Role.SECONDARY, relief=0.4, lift=0.1)
    elif band == "ribs":
        for y in np.linspace(top + 0.3, bottom - 0.15, 5):
            s.seam(path((-w, y), (w, y)), 0.3, 0.035)
    s.emblem(0, 0.08, 0.26)


def _draw_bottle(s: Sketch) -> None:
    t = s.traits
    w, neck, shoulder = t.num("width"), t.num("neck"), t.num("shoulder")
    outline = path(
        (-neck, -0.62),
        (-neck, shoulder - 0.22),
        (-w, shoulder),
        (-w, shoulder),
        (-w, 0.86),
        (-w, 0.9),
        (-w + 0.08, 0.93),
    )
    s.fill(smooth(symmetric(outline), 2))
    cap = t.word("cap")
    if cap == "screw":
        s.fill(rounded_box(0, -0.72, 2 * neck + 0.1, 0.26, 0.04), Role.TRIM)
    elif cap == "ball":
        s.fill(ellipse(0, -0.74, 0.15), Role.SECONDARY)
    elif cap == "loop":
        s.stroke(arc(0, -0.7, 0.15, 0.2, 180, 360), 0.06, Role.TRIM)
        s.fill(rounded_box(0, -0.66, 2 * neck + 0.1, 0.14, 0.03), Role.TRIM)
    elif cap == "spout":
        s.fill(
            path((-neck, -0.62), (neck, -0.62), (neck + 0.2, -0.9), (neck + 0.02, -0.86), (-neck, -0.76)),
            Role.SECONDARY,
        )
    label = t.word("label")
    y = (shoulder + 0.9) / 2
    if label == "band":
        s.fill(box(0, y, 2 * w, 0.3), Role.SECONDARY, relief=0.4, lift=0.1)
    elif label == "badge":
        s.fill(ellipse(0, y, w * 0.62, 0.2), Role.LIGHT, relief=0.3, lift=0.1)
        s.fill(ellipse(0, y, w * 0.3, 0.09), Role.ACCENT, relief=0, lift=0)
    elif label == "window":
        s.fill(rounded_box(0, y, w * 0.5, 0.6, 0.08), Role.DARK, relief=0.3, lift=0)
    if t.word("grip") == "rings":
        for y in (shoulder + 0.08, shoulder + 0.18):
            s.seam(path((-w, y), (w, y)), 0.5, 0.04)
    elif t.word("grip") == "boot":
        s.fill(rounded_box(0, 0.82, 2 * w + 0.06, 0.24, 0.06), Role.TRIM)
    s.emblem(0, y, w * 0.55)


MUG = Category(
    draw=_draw_mug,
    shape={"width": (0.38, 0.58), "height": (0.85, 1.5), "taper": (-0.05, 0.35)},
    kinds={
        "handle": ("ring", "ear", "square", "none"),
        "handle_colour": ("same", "contrast"),
        "inside": ("light", "contrast"),
        "band": ("none", "base", "rim", "ribs"),
    },
    materials=("ceramic", "ceramic", "ceramic", "metal"),
    price=14,
    printed=0.6,
)
BOTTLE = Category(
    draw=_draw_bottle,
    shape={"width": (0.24, 0.42), "neck": (0.09, 0.18), "shoulder": (-0.35, 0.15)},
    kinds={
        "cap": ("screw", "ball", "loop", "spout"),
        "label": ("none", "band", "badge", "window"),
        "grip": ("none", "rings", "boot"),
    },
    materials=HARD,
    price=22,
    printed=0.4,
    subtle=frozenset({"neck"}),
)
