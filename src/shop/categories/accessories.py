"""Hats, watches and sunglasses."""

import numpy as np

from src.shop.blueprint import Role
from src.shop.categories._category import CLOTH, Category
from src.shop.drawing import FABRIC, Sketch
from src.shop.shapes import Points, arc, box, ellipse, mirror, path, rounded_box, smooth, turn

__all__ = ["HAT", "SUNGLASSES", "WATCH"]


def _draw_hat(s: Sketch) -> None:
    t = s.traits
    h, w = t.num("crown"), t.num("width")
    base = 0.3
    kind = t.word("kind")
    dome = np.concatenate([arc(0, base, w, h, 180, 360, 30), path((w, base + 0.05), (-w, base + 0.05))])
    if kind == "cap":
        visor = smooth(
            path(
                (-w * 0.95, base),
                (-w * 1.75, base + 0.2),
                (-w * 1.5, base + 0.32),
                (-w * 0.2, base + 0.14),
                (0.1, base),
            ),
            3,
        )
        s.fill(dome)
        for x in (-0.35, 0.35):
            s.seam(arc(0, base, w * abs(x), h, 180 if x < 0 else 360, 270, 12), 0.3, 0.018)
        s.fill(visor, Role.SECONDARY)
    elif kind == "bucket":
        s.fill(path((-w * 0.75, base - h), (w * 0.75, base - h), (w, base), (-w, base)))
        s.fill(smooth(path((-w, base - 0.02), (w, base - 0.02), (w * 1.5, base + 0.34), (-w * 1.5, base + 0.34)), 1))
    elif kind == "fedora":
        s.fill(
            smooth(path((-w, base), (-w * 0.85, base - h), (0, base - h * 0.86), (w * 0.85, base - h), (w, base)), 2)
        )
        s.fill(ellipse(0, base + 0.05, w * 1.6, 0.15))
        s.fill(
            path((-w * 0.94, base - 0.2), (w * 0.94, base - 0.2), (w, base - 0.02), (-w, base - 0.02)), Role.SECONDARY
        )
    else:
        s.fill(dome)
        s.fill(rounded_box(0, base + 0.05, 2.1 * w, 0.26, 0.08), Role.SECONDARY)
        for x in np.linspace(-0.9, 0.9, 13):
            s.seam(path((x * w, base - 0.06), (x * w, base + 0.16)), 0.25, 0.018)
    top = base - h
    if t.word("top") == "button":
        s.button(0, top + 0.02, 0.06, Role.SECONDARY)
    elif t.word("top") == "pompom":
        s.fill(ellipse(0, top - 0.02, 0.19), Role.LIGHT)
    band = t.word("badge")
    y = base - h * 0.45
    if band == "patch":
        s.fill(rounded_box(0, y, 0.4, 0.26, 0.05), Role.SECONDARY)
        s.fill(rounded_box(0, y, 0.24, 0.1, 0.03), Role.ACCENT, lift=0)
    elif band == "feather":
        s.fill(smooth(turn(path((0, 0.2), (0.1, -0.1), (0, -0.42), (-0.08, -0.1)), 25) + (w * 0.6, y), 2), Role.ACCENT)
    elif band == "eyelets":
        for x in (-0.3, -0.1):
            s.button(x * w * 2, y, 0.05)
    s.emblem(0, y, 0.17)


def _draw_watch(s: Sketch) -> None:
    t = s.traits
    strap, r = t.num("strap"), t.num("size")
    links = t.word("strap_kind")
    for sign in (-1, 1):
        s.fill(
            path((-strap, sign * 0.2), (strap, sign * 0.2), (strap * 0.75, sign * 0.96), (-strap * 0.75, sign * 0.96)),
            Role.TRIM if links == "links" else FABRIC,
        )
        if links == "links":
            for y in np.linspace(0.45, 0.92, 5):
                s.seam(path((-strap, sign * y), (strap, sign * y)), 0.5, 0.03)
        elif links == "stitched":
            for x in (-0.7, 0.7):
                s.stroke(path((x * strap, sign * 0.45), (x * strap * 0.8, sign * 0.94)), 0.024, Role.LIGHT, lift=0)
        elif links == "holes":
            for y in np.linspace(0.58, 0.88, 3):
                s.button(0, float(sign * y), 0.045, Role.DARK)
    for k in range(t.count("crowns")):
        y = 0.0 if t.count("crowns") == 1 else (k - 1) * 0.22
        s.fill(rounded_box(r + 0.05, y, 0.14, 0.12, 0.03), Role.TRIM)
    face = t.word("face")

    def outline(scale: float) -> Points:
        if face == "round":
            return ellipse(0, 0, r * scale)
        if face == "square":
            return rounded_box(0, 0, 1.9 * r * scale, 1.9 * r * scale, 0.1)
        if face == "octagon":
            return turn(arc(0, 0, r * 1.08 * scale, r * 1.08 * scale, 0, 315, 8), 22.5)
        return rounded_box(0, 0, 1.5 * r * scale, 2.2 * r * scale, 0.2)

    s.fill(outline(1.0), Role.TRIM)
    role = {"light": Role.LIGHT, "dark": Role.DARK, "colour": Role.SECONDARY}[t.word("dial")]
    s.fill(outline(0.82), role, relief=0.3)
    ink = Role.LIGHT if t.word("dial") == "dark" else Role.DARK
    number = t.count("marks")
    for k in range(number):
        ray = path((0, -r * 0.72), (0, -r * 0.55))
        s.stroke(turn(ray, 360 * k / number), 0.05 if number == 4 else 0.032, ink, lift=0)
    for x in {"none": (), "one": (0.0,), "two": (-0.32, 0.32)}[t.word("subdials")]:
        s.fill(ellipse(x * r, 0.36 * r, 0.19 * r), Role.ACCENT, relief=0.2, lift=0.2)
    for length, width, angle in ((0.55, 0.045, t.num("time") + 40), (0.36, 0.06, t.num("time") - 80)):
        s.stroke(turn(path((0, 0.05), (0, -r * length)), angle), width, ink, lift=0.3)
    s.button(0, 0, 0.045, Role.ACCENT)


def _draw_sunglasses(s: Sketch) -> None:
    t = s.traits
    w, h, gap = t.num("lens_width"), t.num("lens_height"), 0.08
    x = -gap - w
    kind = t.word("lens")
    lens = {
        "round": ellipse(x, 0, w, max(h, w * 0.8)),
        "square": rounded_box(x, 0, 2 * w, 2 * h, 0.1),
        "aviator": smooth(
            path((x - w, -h), (x + w, -h), (x + w * 0.9, h * 0.3), (x, h * 1.3), (x - w * 0.9, h * 0.6)), 3
        ),
        "cat_eye": smooth(
            path(
                (x - w * 1.2, -h * 1.3),
                (x + w, -h * 0.7),
                (x + w * 0.8, h * 0.6),
                (x - w * 0.3, h),
                (x - w * 0.9, h * 0.4),
            ),
            2,
        ),
    }[kind]
    for points in (lens, mirror(lens)):
        s.fill(points, Role.DARK if t.word("tint") == "dark" else Role.ACCENT, relief=0.5)
        s.stroke(points, t.num("frame"), FABRIC, closed=True)
    if t.word("bridge") != "double":
        s.stroke(path((-gap - 0.02, -h * 0.3), (0, -h * 0.42), (gap + 0.02, -h * 0.3)), 0.08, FABRIC)
    if t.word("bridge") != "single":
        s.stroke(path((-gap - w * 0.6, -h * 0.95), (gap + w * 0.6, -h * 0.95)), 0.06, Role.TRIM)
    for sign in (-1, 1):
        temple = path(
            (sign * (gap + 2 * w - 0.02), -h * 0.5), (sign * 0.96, -h * 0.5 - 0.3), (sign * 0.98, -h * 0.5 - 0.22)
        )
        s.stroke(temple, t.num("frame") * 0.9, Role.SECONDARY if t.word("temple") == "contrast" else FABRIC)
        if t.word("hinge") == "studs":
            s.button(sign * (gap + 2 * w - 0.02), -h * 0.5, 0.065)
        elif t.word("hinge") == "plate":
            s.fill(box(sign * (gap + 2 * w), -h * 0.5, 0.14, 0.1), Role.TRIM)


HAT = Category(
    draw=_draw_hat,
    shape={"crown": (0.5, 0.95), "width": (0.46, 0.58)},
    kinds={
        "kind": ("cap", "bucket", "fedora", "beanie"),
        "top": ("none", "button", "pompom"),
        "badge": ("none", "patch", "feather", "eyelets"),
    },
    materials=(*CLOTH, "knit", "cable_knit", "wicker"),
    price=29,
    printed=0.6,
    subtle=frozenset({"width"}),
)
WATCH = Category(
    draw=_draw_watch,
    shape={"strap": (0.16, 0.3), "size": (0.34, 0.5), "time": (0.0, 300.0)},
    kinds={
        "face": ("round", "square", "octagon", "tonneau"),
        "strap_kind": ("plain", "links", "stitched", "holes"),
        "dial": ("light", "dark", "colour"),
        "marks": (0, 4, 12),
        "subdials": ("none", "one", "two"),
        "crowns": (1, 3),
    },
    materials=("leather", "leather", "canvas", "plastic"),
    price=180,
    printed=0.0,
    plain=0.5,
    subtle=frozenset({"time", "subdials", "crowns"}),
    small=True,
)
SUNGLASSES = Category(
    draw=_draw_sunglasses,
    shape={"lens_width": (0.28, 0.38), "lens_height": (0.2, 0.34), "frame": (0.05, 0.14)},
    kinds={
        "lens": ("round", "square", "aviator", "cat_eye"),
        "tint": ("dark", "colour"),
        "bridge": ("single", "double", "both"),
        "temple": ("same", "contrast"),
        "hinge": ("none", "studs", "plate"),
    },
    materials=("plastic", "plastic", "metal", "wood"),
    price=90,
    printed=0.0,
    plain=0.5,
    subtle=frozenset({"lens_width", "tint", "bridge", "hinge"}),
    small=True,
)
