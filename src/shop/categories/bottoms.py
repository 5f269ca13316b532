"""Dresses, skirts and trousers."""

import numpy as np

from src.shop.blueprint import Role
from src.shop.categories._category import CLOTH, Category
from src.shop.drawing import FABRIC, Sketch
from src.shop.shapes import arc, box, ellipse, mirror, path, rounded_box, smooth, symmetric

__all__ = ["DRESS", "SKIRT", "TROUSERS"]


def _skirt_part(s: Sketch, waist: float, top: float, hem: float, flare: float, kind: str) -> None:
    count = 13
    across = np.linspace(-1, 1, count)
    drop = {
        "straight": 0.03 * (1 - across**2),
        "wavy": 0.035 * np.cos(across * np.pi * 4),
        "slanted": 0.14 * across,
        "pointed": -0.14 * np.abs(across) + 0.08,
    }[kind]
    bottom = np.stack([across * flare, hem + drop], axis=1)[::-1]
    bulge = waist + 0.6 * (flare - waist)
    middle = top + 0.5 * (hem - top)
    outline = np.concatenate([path((-waist, top), (waist, top), (bulge, middle)), bottom, path((-bulge, middle))])
    s.fill(outline)


def _pleats(s: Sketch, waist: float, top: float, hem: float, flare: float, number: int) -> None:
    for x in np.linspace(-0.85, 0.85, number) if number else ():
        s.seam(path((x * waist, top + 0.04), (x * flare, hem - 0.02)), 0.32, 0.022)


def _draw_dress(s: Sketch) -> None:
    t = s.traits
    waist_y, hem, flare, chest = t.num("waist"), t.num("length"), t.num("flare"), 0.27
    waist = 0.2
    kind = t.word("top")
    if kind in ("short", "long"):
        reach = 0.36 if kind == "short" else 0.85
        sleeve = path(
            (-0.24, -0.8),
            (-0.34 - 0.2 * reach, -0.74 + 0.8 * reach),
            (-0.2 - 0.2 * reach, -0.72 + 0.86 * reach),
            (-chest + 0.02, -0.42),
        )
        for shape, angle in ((sleeve, 20.0), (mirror(sleeve), -20.0)):
            s.fill(smooth(shape, 1), angle=angle)
    if kind == "straps":
        for x in (-0.16, 0.16):
            s.stroke(path((x, -0.9), (x, -0.6)), 0.05, Role.PRIMARY)
        shoulder = path((-0.23, -0.68))
    elif kind == "halter":
        s.stroke(path((-0.16, -0.62), (0, -0.92), (0.16, -0.62)), 0.05, Role.PRIMARY)
        shoulder = path((-0.14, -0.7))
    else:
        shoulder = path((-0.12, -0.86), (-0.27, -0.8))
    bodice = np.concatenate([shoulder, path((-chest, -0.44), (-waist, waist_y), (-waist, waist_y + 0.04))])
    _skirt_part(s, waist, waist_y, hem, flare, t.word("hem"))
    s.fill(symmetric(bodice))
    _pleats(s, waist, waist_y, hem, flare, t.count("pleats"))
    neck = t.word("neckline")
    top = -0.88 if kind in ("short", "long", "sleeveless") else -0.7
    opening = {
        "round": symmetric(arc(0, top, 0.14, 0.18, 180, 90, 10)),
        "v": path((-0.13, top), (0.13, top), (0, top + 0.34)),
        "square": box(0, top + 0.08, 0.24, 0.2),
    }[neck]
    s.cut(opening)
    s.seam(opening, 0.35, 0.03, closed=True)
    belt = t.word("belt")
    if belt != "none":
        s.fill(rounded_box(0, waist_y + 0.02, 2 * waist + 0.05, 0.1, 0.03), Role.SECONDARY)
        if belt == "buckle":
            s.stroke(rounded_box(0, waist_y + 0.02, 0.12, 0.13, 0.02), 0.035, Role.TRIM, closed=True)
        elif belt == "bow":
            wing = smooth(path((0, waist_y + 0.02), (-0.2, waist_y - 0.08), (-0.2, waist_y + 0.13)), 2)
            s.fill(wing, Role.SECONDARY)
            s.fill(mirror(wing), Role.SECONDARY)


def _draw_skirt(s: Sketch) -> None:
    t = s.traits
    top, hem, flare, waist = -0.6, t.num("length"), t.num("flare"), 0.32
    _skirt_part(s, waist, top, hem, flare, t.word("hem"))
    _pleats(s, waist, top, hem, flare, t.count("pleats"))
    band = t.word("waistband")
    s.fill(rounded_box(0, top, 2 * waist + 0.04, 0.14, 0.03), FABRIC if band == "plain" else Role.SECONDARY)
    if band == "buckle":
        s.stroke(rounded_box(0, top, 0.16, 0.17, 0.03), 0.04, Role.TRIM, closed=True)
    front = t.word("front")
    if front == "buttons":
        for y in np.linspace(top + 0.18, hem - 0.12, 5):
            s.button(0, float(y), 0.045)
    elif front == "slit":
        s.cut(path((0.16, hem + 0.2), (0.28, hem + 0.2), (0.15, hem - 0.36)))
    elif front == "pockets":
        for sign in (-1, 1):
            s.fill(rounded_box(sign * 0.24, top + 0.36, 0.22, 0.24, 0.04))
            s.seam(path((sign * 0.24 - 0.11, top + 0.28), (sign * 0.24 + 0.11, top + 0.28)), 0.4, 0.02)


def _draw_trousers(s: Sketch) -> None:
    t = s.traits
    top, hem, hip = -0.85, t.num("length"), t.num("hip")
    knee = np.interp(0.45, [top, 0.92], [hip * 0.9, hip * 0.9])
    ankle, spread = t.num("ankle"), 0.06
    crotch = -0.22
    leg = path(
        (-hip * 0.86, top),
        (0.0, top),
        (0.0, crotch),
        (-spread - 0.02, crotch + 0.1),
        (-spread, hem),
        (-spread - ankle, hem),
        (-knee - 0.04, crotch),
    )
    s.fill(leg, angle=4)
    s.fill(mirror(leg), angle=-4)
    centre = spread + ankle / 2
    if t.word("cuffs") == "turn_up":
        for sign in (-1, 1):
            s.fill(rounded_box(sign * centre, hem - 0.05, ankle + 0.04, 0.12, 0.02), Role.SECONDARY)
    elif t.word("cuffs") == "elastic":
        for sign in (-1, 1):
            s.fill(rounded_box(sign * centre, hem - 0.02, ankle * 0.8, 0.12, 0.04), Role.PRIMARY)
    side = t.word("side")
    for sign in (-1, 1):
        edge = path(
            (sign * hip * 0.88, top + 0.1), (sign * (knee - 0.01), crotch), (sign * (spread + ankle - 0.04), hem)
        )
        if side == "stripe":
            s.stroke(edge, 0.07, Role.SECONDARY, lift=0.1)
        elif side == "cargo":
            s.fill(rounded_box(sign * (knee - 0.05), 0.1, 0.2, 0.26, 0.03))
            s.fill(rounded_box(sign * (knee - 0.05), 0.0, 0.22, 0.08, 0.02), Role.SECONDARY)
        elif side == "crease":
            s.seam(path((sign * hip * 0.5, top + 0.2), (sign * centre, hem)), 0.3, 0.02)
    if t.word("knees") == "patch":
        for sign in (-1, 1):
            s.fill(rounded_box(sign * hip * 0.52, 0.16, 0.2, 0.24, 0.05), Role.SECONDARY)
    s.seam(path((0, top), (0, crotch + 0.05)), 0.4, 0.02)
    waist = t.word("waistband")
    s.fill(rounded_box(0, top, 2 * hip * 0.88, 0.12, 0.02), Role.SECONDARY if waist == "belt" else FABRIC)
    if waist == "belt":
        s.stroke(rounded_box(0, top, 0.13, 0.13, 0.02), 0.04, Role.TRIM, closed=True)
    elif waist == "button":
        s.button(0, top, 0.045)
        for sign in (-1, 1):
            s.seam(
                arc(sign * hip * 0.86, top + 0.06, 0.22, 0.2, 90 if sign > 0 else 0, 180 if sign > 0 else 90), 0.4, 0.02
            )
    else:
        for x in (-0.06, 0.06):
            s.stroke(path((x, top + 0.02), (x * 1.6, top + 0.3)), 0.03, Role.LIGHT)
        s.fill(ellipse(0, top + 0.02, 0.05), Role.LIGHT)


DRESS = Category(
    draw=_draw_dress,
    shape={"waist": (-0.3, 0.02), "length": (0.35, 0.9), "flare": (0.28, 0.66)},
    kinds={
        "top": ("straps", "halter", "sleeveless", "short", "long"),
        "neckline": ("round", "v", "square"),
        "hem": ("straight", "wavy", "slanted", "pointed"),
        "belt": ("none", "plain", "buckle", "bow"),
        "pleats": (0, 0, 5, 9),
    },
    materials=CLOTH,
    price=68,
    printed=0.0,
    plain=0.25,
    subtle=frozenset({"waist", "pleats"}),
)
SKIRT = Category(
    draw=_draw_skirt,
    shape={"length": (0.1, 0.85), "flare": (0.36, 0.78)},
    kinds={
        "waistband": ("plain", "contrast", "buckle"),
        "front": ("none", "buttons", "slit", "pockets"),
        "hem": ("straight", "wavy", "slanted", "pointed"),
        "pleats": (0, 0, 5, 9),
    },
    materials=(*CLOTH, "denim", "leather"),
    price=46,
    printed=0.0,
    plain=0.3,
    subtle=frozenset({"pleats"}),
)
TROUSERS = Category(
    draw=_draw_trousers,
    shape={"length": (0.0, 0.92), "hip": (0.36, 0.46), "ankle": (0.2, 0.46)},
    kinds={
        "waistband": ("belt", "button", "drawstring"),
        "side": ("none", "stripe", "cargo", "crease"),
        "cuffs": ("plain", "turn_up", "elastic"),
        "knees": ("none", "none", "patch"),
    },
    materials=("denim", "denim", "cotton", "corduroy", "canvas"),
    price=59,
    printed=0.0,
    plain=0.5,
    subtle=frozenset({"hip"}),
)
