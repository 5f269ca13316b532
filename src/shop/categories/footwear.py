"""Sneakers, boots and heels, seen from the side, toe to the left."""

import numpy as np

from src.shop.blueprint import Role
from src.shop.categories._category import Category
from src.shop.drawing import FABRIC, Sketch
from src.shop.shapes import arc, ellipse, path, rounded_box, smooth

__all__ = ["BOOT", "HEELS", "SNEAKER"]

_FLOOR = 0.6


def _draw_sneaker(s: Sketch) -> None:
    t = s.traits
    sole, collar = t.num("sole"), t.num("collar")
    top = _FLOOR - sole
    tip = {"round": -0.92, "flat": -0.96, "square": -0.9}[t.word("toe")]
    height = {"round": 0.34, "flat": 0.2, "square": 0.42}[t.word("toe")]
    toe = path((tip, top + 0.02), (tip + 0.01, top - height * 0.8), (tip + 0.22, top - height))
    instep = path((-0.3, top - height - 0.12), (0.1, top - 0.62), (0.2, top - 0.62 - collar))
    back = path((0.82, top - 0.66 - collar), (0.86, top - 0.3), (0.9, top + 0.02))
    upper = np.concatenate([toe, instep, back])
    s.fill(smooth(np.concatenate([upper[:1], upper, upper[-1:]]), 3))
    s.fill(ellipse(0.5, top - 0.62 - collar, 0.3, 0.06), Role.DARK, relief=0.3, lift=0)
    if t.word("toe_cap") != "none":
        role = Role.LIGHT if t.word("toe_cap") == "rubber" else Role.SECONDARY
        cap = path(
            (tip, top + 0.03),
            (tip, top - height * 0.85),
            (tip + 0.2, top - height * 0.96),
            (tip + 0.36, top - height * 0.5),
            (tip + 0.4, top + 0.03),
        )
        s.fill(smooth(np.concatenate([cap[:1], cap, cap[-1:]]), 2), role, lift=0.5)
    _side_mark(s, t.word("side"), top)
    if t.word("heel") == "tab":
        s.fill(
            smooth(
                path((0.66, top - 0.4), (0.68, top - 0.7 - collar), (0.88, top - 0.72 - collar), (0.9, top - 0.35)), 1
            ),
            Role.SECONDARY,
        )
    elif t.word("heel") == "counter":
        s.fill(
            smooth(path((0.52, top + 0.04), (0.6, top - 0.3), (0.9, top - 0.34), (0.93, top + 0.04)), 2), Role.ACCENT
        )
    for k in range(t.count("laces")):
        share = k / max(t.count("laces") - 1, 1)
        x, y = -0.34 + 0.42 * share, top - height - 0.1 - (0.5 - height + collar * 0.6) * share
        s.stroke(path((x - 0.07, y - 0.03), (x + 0.12, y + 0.09)), 0.05, Role.LIGHT)
    role = {"light": Role.LIGHT, "contrast": Role.SECONDARY, "dark": Role.DARK}[t.word("sole_colour")]
    s.fill(rounded_box(-0.01, _FLOOR - sole / 2 + 0.02, 1.92, sole + 0.06, 0.1), role)
    s.seam(path((-0.9, _FLOOR - 0.03), (0.9, _FLOOR - 0.03)), 0.35, 0.03)


def _side_mark(s: Sketch, kind: str, top: float) -> None:
    if kind == "emblem":
        s.fill(ellipse(0.32, top - 0.3, 0.17), Role.LIGHT, relief=0.3, lift=0.4)
        s.fill(ellipse(0.32, top - 0.3, 0.1), Role.ACCENT, relief=0.3, lift=0)
    elif kind == "swoop":
        s.fill(
            smooth(
                path((-0.4, top - 0.2), (-0.1, top - 0.12), (0.7, top - 0.5), (0.0, top - 0.02), (-0.42, top - 0.06)), 3
            ),
            Role.ACCENT,
            lift=0.2,
        )
    elif kind.startswith("bars"):
        for k in range(int(kind[-1])):
            x = -0.14 + 0.2 * k
            s.fill(
                path((x, top - 0.04), (x + 0.1, top - 0.04), (x + 0.24, top - 0.5), (x + 0.14, top - 0.5)),
                Role.SECONDARY,
                lift=0.2,
            )


def _draw_boot(s: Sketch) -> None:
    t = s.traits
    heel, shaft, width = t.num("heel"), t.num("shaft"), t.num("shaft_width")
    floor = 0.85
    top = floor - 0.42 - shaft
    ankle = floor - 0.08 - heel
    tip = -0.8 if t.word("toe") == "pointed" else -0.68
    toe_height = 0.1 if t.word("toe") == "pointed" else 0.26
    toe = path((tip, floor - 0.04), (tip + 0.02, floor - toe_height), (-0.36, floor - 0.32), (0.02, ankle - 0.32))
    leg = path((0.44 - width, ankle - 0.5), (0.5 - width, top), (0.56, top), (0.54, ankle - 0.3))
    under = path((0.58, ankle), (0.5, ankle + 0.06), (0.1, ankle + 0.06), (-0.25, floor - 0.04))
    s.fill(smooth(np.concatenate([toe, leg, under]), 2))
    block = {"block": (0.2, 0.6, 0.58), "slim": (0.44, 0.58, 0.52), "wedge": (-0.3, 0.6, 0.56)}[t.word("heel_kind")]
    s.fill(path((block[0], ankle + 0.02), (0.58, ankle + 0.02), (block[2], floor), (block[0] + 0.04, floor)), Role.DARK)
    s.stroke(
        path((tip + 0.03, floor - 0.02), (-0.25, floor - 0.02), (0.1, ankle + 0.06), (0.5, ankle + 0.06)),
        0.06,
        Role.DARK,
    )
    x = 0.53 - width / 2
    kind = t.word("fastening")
    if kind == "laces":
        for y in np.linspace(top + 0.1, ankle - 0.34, 5):
            s.stroke(path((0.5 - width, y), (x + 0.04, y + 0.07)), 0.035, Role.LIGHT)
    elif kind == "zip":
        s.stroke(path((x + 0.1, top + 0.04), (x + 0.1, ankle - 0.1)), 0.04, Role.TRIM)
    elif kind == "elastic":
        s.fill(path((x - 0.06, top), (x + 0.14, top), (x + 0.06, min(top + 0.45, ankle - 0.1))), Role.DARK)
    else:
        for y in (top + 0.14, ankle - 0.2)[: 2 if kind == "two_buckles" else 1]:
            s.fill(rounded_box(x, y, width + 0.08, 0.09, 0.02), Role.SECONDARY)
            s.stroke(rounded_box(x + 0.02, y, 0.12, 0.13, 0.02), 0.035, Role.TRIM, closed=True)
    cuff = t.word("cuff")
    if cuff != "none":
        s.fill(
            rounded_box(0.53 - width / 2, top, width + 0.14, 0.16, 0.06),
            Role.LIGHT if cuff == "fur" else Role.SECONDARY,
        )
    if t.word("toe_cap") == "cap":
        s.fill(
            smooth(
                path(
                    (tip, floor - 0.03),
                    (tip, floor - toe_height),
                    (tip + 0.22, floor - 0.28),
                    (tip + 0.32, floor - 0.03),
                ),
                2,
            ),
            Role.SECONDARY,
            lift=0.4,
        )


def _draw_heels(s: Sketch) -> None:
    t = s.traits
    heel = t.num("heel")
    floor, ankle = 0.7, 0.7 - heel
    arch = path(
        (-0.85, floor - 0.02),
        (-0.45, floor - 0.04),
        (-0.1, floor - 0.1 - heel * 0.3),
        (0.4, ankle - 0.02),
        (0.72, ankle - 0.04),
    )
    kind = t.word("heel_kind")
    lower = {"stiletto": (0.62, 0.68), "block": (0.44, 0.74), "flared": (0.5, 0.84), "wedge": (-0.3, 0.74)}[kind]
    start = {"stiletto": 0.5, "block": 0.44, "flared": 0.5, "wedge": -0.35}[kind]
    heel_role = Role.SECONDARY if t.word("heel_colour") == "contrast" else Role.PRIMARY
    begin_y = ankle + 0.02 if kind != "wedge" else floor - 0.06
    s.fill(path((start, begin_y), (0.72, ankle - 0.04), (lower[1], floor), (lower[0], floor)), heel_role)
    if t.word("platform") == "platform":
        s.fill(
            smooth(path((-0.88, floor - 0.1), (-0.3, floor - 0.14), (-0.34, floor + 0.03), (-0.86, floor + 0.03)), 1),
            heel_role,
        )
    vamp = t.word("vamp")
    if vamp == "closed":
        s.fill(
            smooth(
                path(
                    (-0.9, floor - 0.02),
                    (-0.86, floor - 0.18),
                    (-0.5, floor - 0.32),
                    (-0.2, floor - 0.24),
                    (0.0, floor - 0.16 - heel * 0.3),
                    (-0.4, floor - 0.02),
                ),
                3,
            )
        )
    elif vamp == "open":
        s.fill(
            smooth(
                path(
                    (-0.72, floor - 0.04),
                    (-0.62, floor - 0.3),
                    (-0.36, floor - 0.34),
                    (-0.2, floor - 0.1),
                    (-0.4, floor - 0.03),
                ),
                2,
            )
        )
    else:
        for x in (-0.66, -0.44):
            s.fill(
                smooth(
                    path((x - 0.07, floor - 0.04), (x, floor - 0.3), (x + 0.14, floor - 0.3), (x + 0.1, floor - 0.06)),
                    2,
                )
            )
    s.stroke(smooth(arch, 2, closed=False), 0.08, Role.PRIMARY)
    back = t.word("back")
    if back == "counter":
        s.fill(
            smooth(
                path(
                    (0.2, ankle + 0.02),
                    (0.45, ankle - 0.22),
                    (0.74, ankle - 0.38),
                    (0.78, ankle - 0.02),
                    (0.6, ankle + 0.04),
                ),
                2,
            )
        )
    else:
        s.stroke(arc(0.56, ankle - 0.3, 0.2, 0.12, 0, 360), 0.06, FABRIC)
        s.stroke(path((0.74, ankle - 0.26), (0.72, ankle)), 0.07, FABRIC)
        if back == "t_strap":
            s.stroke(path((-0.3, floor - 0.2), (0.38, ankle - 0.26)), 0.06, FABRIC)
        s.button(0.42, ankle - 0.24, 0.05)
    trim = t.word("trim_on_toe")
    if trim == "bow":
        for sign in (-1, 1):
            s.fill(
                smooth(
                    path((-0.5, floor - 0.3), (-0.5 + sign * 0.18, floor - 0.42), (-0.5 + sign * 0.18, floor - 0.2)), 2
                ),
                Role.SECONDARY,
            )
    elif trim == "buckle":
        s.stroke(rounded_box(-0.5, floor - 0.26, 0.2, 0.14, 0.03), 0.045, Role.TRIM, closed=True)


SNEAKER = Category(
    draw=_draw_sneaker,
    shape={"sole": (0.1, 0.3), "collar": (-0.05, 0.45)},
    kinds={
        "toe": ("round", "flat", "square"),
        "toe_cap": ("none", "rubber", "contrast"),
        "side": ("none", "emblem", "swoop", "bars2", "bars3"),
        "heel": ("none", "tab", "counter"),
        "laces": (0, 3, 5),
        "sole_colour": ("light", "light", "contrast", "dark"),
    },
    materials=("canvas", "leather", "suede", "knit"),
    price=85,
    printed=0.0,
    plain=0.5,
)
BOOT = Category(
    draw=_draw_boot,
    shape={"heel": (0.06, 0.36), "shaft": (0.3, 1.15), "shaft_width": (0.34, 0.48)},
    kinds={
        "toe": ("round", "pointed"),
        "heel_kind": ("block", "slim", "wedge"),
        "fastening": ("laces", "zip", "elastic", "buckle", "two_buckles"),
        "cuff": ("none", "none", "fur", "contrast"),
        "toe_cap": ("none", "cap"),
    },
    materials=("leather", "leather", "suede", "quilted"),
    price=130,
    printed=0.0,
    plain=0.6,
    subtle=frozenset({"shaft_width"}),
)
HEELS = Category(
    draw=_draw_heels,
    shape={"heel": (0.2, 0.85)},
    kinds={
        "heel_kind": ("stiletto", "block", "flared", "wedge"),
        "heel_colour": ("same", "contrast"),
        "platform": ("none", "platform"),
        "vamp": ("closed", "open", "straps"),
        "back": ("counter", "strap", "t_strap"),
        "trim_on_toe": ("none", "bow", "buckle"),
    },
    materials=("leather", "satin", "suede"),
    price=95,
    printed=0.0,
    plain=0.5,
    subtle=frozenset({"platform"}),
)
