"""From which measures on a picture is not fit for search."""

from dataclasses import dataclass

from src.contracts.errors import ConfigError

__all__ = ["QualityLimits"]


@dataclass(frozen=True)
class QualityLimits:
    """The limits of `judge`; docs/catalogue.md says on which pictures they were chosen.

    Attributes:
        min_side: the fewest pixels of the shorter side, of the file or its box; 1 passes every picture.
        max_aspect: the most times that the longer side may be the shorter; infinity passes every picture.
        min_spread: below this `spread` a picture has a single colour, 0..128; 0 passes every picture.
        min_highlights: below these `highlights` it is too dark, 0..255; 0 passes every picture.
        max_shadows: above these `shadows` it is too bright, 0..255; 255 passes every picture.
        min_chroma: below this `chroma` it is grey, 0..255; 0 passes every picture. For catalogues of drawings or of
            black and white photographs.
        max_edge_width: above this `edge_width` it is blurred, in pixels; infinity passes every picture.
        max_blur: above this `blur` it is blurred as well (motion leaves edges along it sharp), 0..1; 1 passes every
            picture.
        sharp_edge: but not with an `edge_width` below this, in pixels: it is a sharp thing on smooth ground.
        max_cut_off: above this `cut_off` its file ended too early, 0..1; 1 passes every picture.
        max_items: a picture that stands under more items than this is a placeholder, such as "no image available".
    """

    min_side: int = 48
    max_aspect: float = 4.0
    min_spread: float = 4.0
    min_highlights: float = 60.0
    max_shadows: float = 195.0
    min_chroma: float = 4.0
    max_edge_width: float = 5.0
    max_blur: float = 0.66
    sharp_edge: float = 1.75
    max_cut_off: float = 0.04
    max_items: int = 5

    def __post_init__(self) -> None:
        least = dict.fromkeys(("min_spread", "min_highlights", "max_shadows", "min_chroma"), 0.0)
        least |= {
            "min_side": 1,
            "max_aspect": 1,
            "max_blur": 0,
            "max_edge_width": 0,
            "max_cut_off": 0,
            "max_items": 1,
            "sharp_edge": 0,
        }
        problems = [
            f"`quality.{name}={getattr(self, name)}`: must be at least {lowest:g}"
            for name, lowest in least.items()
            if not getattr(self, name) >= lowest
        ]
        if problems:
            raise ConfigError("\n".join(problems))
