"""Drawing a product part by part, without its colours."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from src.shop.blueprint import Blueprint, Role
from src.shop.materials import MATERIALS, texture
from src.shop.patterns import pattern_weights
from src.shop.prints import emblem
from src.shop.relief import relief
from src.shop.shapes import Points
from src.shop.traits import Traits

__all__ = ["FABRIC", "Sketch"]


FABRIC = None
"""Paint with the product's pattern instead of one role."""


_ROLES = len(Role)
_REACH = 0.044
"""Share of the picture's side over which a rim falls off."""


@dataclass(frozen=True)
class _Stamp:
    """The pixels that a stroke or an area covers.

    Attributes:
        where: rows and columns of the picture.
        cover: float32 of their shape, 0..1.
        thickness: about how thick it is, in pixels.
    """

    where: tuple[slice, slice]
    cover: np.ndarray
    thickness: float


class Sketch:
    """A product while it is drawn, part by part, from the back to the front. Coordinates lie in the unit square."""

    def __init__(self, traits: Traits, side: int) -> None:
        self.traits = traits
        self.side = side
        self._weights = np.zeros((_ROLES, side, side), dtype=np.float32)
        self._shade = np.ones((side, side), dtype=np.float32)
        self._gloss = np.zeros((side, side), dtype=np.float32)
        self._alpha = np.zeros((side, side), dtype=np.float32)
        axis = ((np.arange(side, dtype=np.float32) + 0.5) / side * 2 - 1).astype(np.float32)
        self._x, self._y = np.meshgrid(axis, axis)
        self._fabrics: dict[float, np.ndarray] = {}
        self._shine = MATERIALS[traits.word("material")].shine
        self._texture = texture(traits.word("material"), self._x, self._y, traits.count("texture_seed"))

    def finished(self) -> Blueprint:
        """The blueprint of all that was drawn."""
        return Blueprint(weights=self._weights, shade=self._shade, gloss=self._gloss, alpha=self._alpha)

    def fill(
        self, points: Points, paint: Role | None = FABRIC, *, relief: float = 1.0, angle: float = 0.0, lift: float = 1.0
    ) -> None:
        """Draw an area.

        Args:
            points: its outline.
            paint: one role, or `FABRIC`.
            relief: how round it looks, 0 for flat.
            angle: turn of the fabric, degrees.
            lift: strength of the shadow that it casts on what lies below.
        """
        stamp = self._area([points])
        if stamp is not None:
            self._paint(stamp, paint, relief, angle, lift)

    def stroke(
        self, points: Points, width: float, paint: Role | None = FABRIC, *, closed: bool = False, lift: float = 1.0
    ) -> None:
        """Draw a line of that width: a strap, a handle, a leg."""
        stamp = self._line(points, width, closed)
        if stamp is not None:
            self._paint(stamp, paint, 1.0, 0.0, lift)

    def seam(self, points: Points, depth: float = 0.3, width: float = 0.014, *, closed: bool = False) -> None:
        """Darken a line: a seam, a fold, an edge."""
        stamp = self._line(points, width, closed)
        if stamp is not None:
            self._shade[stamp.where] *= 1 - depth * stamp.cover

    def cut(self, points: Points) -> None:
        """Take everything away within the outline."""
        stamp = self._area([points])
        if stamp is not None:
            keep = 1 - stamp.cover
            self._weights[(slice(None), *stamp.where)] *= keep
            self._alpha[stamp.where] *= keep

    def emblem(self, x: float, y: float, radius: float) -> None:
        """Print the product's emblem around (x, y), where it has one."""
        number = self.traits.count("print")
        if number < 0:
            return
        below, above = emblem(number)
        for shapes, role in ((below, Role.ACCENT), (above, Role.SECONDARY)):
            for shape in shapes:
                self.fill(shape * radius + (x, y), role, relief=0.0, lift=0.0)

    def button(self, x: float, y: float, radius: float, paint: Role = Role.TRIM) -> None:
        """A small round thing: a button, a rivet, an eyelet."""
        angle = np.linspace(0, 2 * np.pi, 16, endpoint=False)
        self.fill(np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], axis=1), paint, relief=0.6)

    def _area(self, outlines: Sequence[Points]) -> _Stamp | None:
        pixels = [(outline + 1) * (self.side / 2) for outline in outlines]
        everything = np.concatenate(pixels)
        where, offset = self._where(everything, 2)
        if where is None:
            return None
        cover = np.zeros((where[0].stop - where[0].start, where[1].stop - where[1].start), dtype=np.uint8)
        fixed = [np.round((outline - offset) * 16).astype(np.int32) for outline in pixels]
        cv2.fillPoly(cover, fixed, 255, lineType=cv2.LINE_AA, shift=4)
        length = sum(cv2.arcLength(outline.astype(np.float32), True) for outline in pixels)
        area = sum(cv2.contourArea(outline.astype(np.float32)) for outline in pixels)
        return _Stamp(where=where, cover=cover.astype(np.float32) / 255, thickness=2 * area / max(length, 1.0))

    def _line(self, points: Points, width: float, closed: bool) -> _Stamp | None:
        pixels = (points + 1) * (self.side / 2)
        thickness = max(1, round(width * self.side / 2))
        where, offset = self._where(pixels, thickness + 2)
        if where is None:
            return None
        cover = np.zeros((where[0].stop - where[0].start, where[1].stop - where[1].start), dtype=np.uint8)
        fixed = np.round((pixels - offset) * 16).astype(np.int32)
        cv2.polylines(cover, [fixed], closed, 255, thickness, cv2.LINE_AA, 4)
        return _Stamp(where=where, cover=cover.astype(np.float32) / 255, thickness=float(thickness))

    def _where(self, pixels: Points, margin: int) -> tuple[tuple[slice, slice] | None, np.ndarray]:
        low = np.clip(np.floor(pixels.min(axis=0)).astype(int) - margin, 0, self.side)
        high = np.clip(np.ceil(pixels.max(axis=0)).astype(int) + margin, 0, self.side)
        if np.any(high <= low):
            return None, low
        return (slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))), low

    def _paint(self, stamp: _Stamp, paint: Role | None, bulge: float, angle: float, lift: float) -> None:
        where, cover = stamp.where, stamp.cover
        keep = 1 - cover
        if lift:
            self._cast(stamp, lift)
        weights = self._weights[(slice(None), *where)]
        weights *= keep
        light, shine = relief(cover, stamp.thickness, bulge, self.side * _REACH)
        if paint is None:
            weights[:3] += cover * self._fabric(angle)[(slice(None), *where)]
            light = light * self._texture[where]
            shine = shine * self._shine
        else:
            weights[paint] += cover
            shine = shine * (0.5 if paint == Role.TRIM else 0.3 * self._shine)
        self._shade[where] = self._shade[where] * keep + cover * light
        self._gloss[where] = self._gloss[where] * keep + cover * shine
        self._alpha[where] = self._alpha[where] * keep + cover

    def _cast(self, stamp: _Stamp, lift: float) -> None:
        """Darken what lies just around and below a part, as if it stood out a little."""
        reach = max(2, self.side // 64)
        rows, columns = stamp.where
        low_row, high_row = max(rows.start - reach, 0), min(rows.stop + 2 * reach, self.side)
        low_column, high_column = max(columns.start - reach, 0), min(columns.stop + 2 * reach, self.side)
        grown = np.zeros((high_row - low_row, high_column - low_column), dtype=np.float32)
        top, left = rows.start - low_row + reach // 2, columns.start - low_column + reach // 2
        height = min(stamp.cover.shape[0], grown.shape[0] - top)
        width = min(stamp.cover.shape[1], grown.shape[1] - left)
        grown[top : top + height, left : left + width] = stamp.cover[:height, :width]
        shadow = cv2.blur(grown, (2 * reach + 1, 2 * reach + 1))
        self._shade[low_row:high_row, low_column:high_column] *= 1 - 0.45 * lift * shadow

    def _fabric(self, angle: float) -> np.ndarray:
        if angle not in self._fabrics:
            t = self.traits
            self._fabrics[angle] = pattern_weights(
                t.word("pattern"),
                self._x,
                self._y,
                scale=t.num("pattern_scale"),
                angle=t.num("pattern_angle") + angle,
                seed=t.count("pattern_seed"),
                pixel=2 / self.side,
            )
        return self._fabrics[angle]
