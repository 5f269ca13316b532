"""Each fault has its code, good pictures have none, and nothing that a file can hold is an error."""

import io

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageFilter

from src.catalog.image_source import UnreadableImageError
from src.catalog.quality import EXPLANATIONS, QualityLimits, Reason, judge, reason_of
from src.catalog.quality.summary import FINDINGS
from src.contracts.errors import ConfigError
from tests.pictures import encode, smooth_picture

GOOD = Image.fromarray(smooth_picture(400, 300, seed=0))


def lenient(data: bytes) -> bytes:
    """A truncated file as a forgiving program saves it."""
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        return encode(Image.open(io.BytesIO(data)).convert("RGB"), "JPEG", quality=90)
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False


def faulty() -> dict[str, tuple[Reason, bytes]]:
    jpeg = encode(GOOD, "JPEG", quality=90)
    return {
        "empty": (Reason.UNSUPPORTED, b""),
        "text": (Reason.UNSUPPORTED, b"<html>not found</html>"),
        "half a file": (Reason.CORRUPT, jpeg[: len(jpeg) // 2]),
        "half a file, saved anew": (Reason.CUT_OFF, lenient(jpeg[: len(jpeg) // 2])),
        "small": (Reason.TOO_SMALL, encode(GOOD.resize((40, 60)), "PNG")),
        "long": (Reason.EXTREME_ASPECT, encode(GOOD.resize((1000, 100)), "PNG")),
        "one colour": (Reason.SINGLE_COLOUR, encode(Image.new("RGB", (300, 300), (200, 30, 90)), "JPEG")),
        "dark": (Reason.TOO_DARK, encode(GOOD.point(lambda value: value * 0.2), "JPEG")),
        "bright": (Reason.TOO_BRIGHT, encode(GOOD.point(lambda value: 255 - (255 - value) * 0.2), "JPEG")),
        "one channel": (Reason.GREY, encode(GOOD.convert("L"), "JPEG")),
        "three equal channels": (Reason.GREY, encode(GOOD.convert("L").convert("RGB"), "PNG")),
        "blurred": (Reason.BLURRED, encode(GOOD.filter(ImageFilter.GaussianBlur(7)), "JPEG")),
    }


@pytest.mark.parametrize("name", faulty())
def test_each_fault_has_its_reason(name: str) -> None:
    reason, data = faulty()[name]
    finding = judge(data)
    assert finding.reason == reason
    assert finding.message
    assert reason in EXPLANATIONS
    row = finding.row()
    assert set(row) == set(FINDINGS.names) - {"image_id", "item_id"}
    assert row["reason"] == str(reason)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_a_good_picture_has_no_fault(form: str) -> None:
    finding = judge(encode(GOOD, form))
    assert finding.reasons == ()
    assert (finding.message, finding.width, finding.height) == ("", 300, 400)


def test_the_box_is_judged_and_not_what_is_around_it() -> None:
    dark = Image.new("RGB", (500, 500))
    dark.paste(GOOD, (100, 50))
    data = encode(dark, "PNG")
    assert judge(data, box=(100, 50, 300, 400)).reasons == ()
    assert judge(data, box=(0, 0, 90, 400)).reasons[:2] == (Reason.EXTREME_ASPECT, Reason.SINGLE_COLOUR)
    assert judge(data, box=(0, 0, 600, 400)).reason == Reason.BAD_BOX


def test_a_picture_of_too_many_pixels_is_not_decoded() -> None:
    assert judge(encode(GOOD, "PNG"), max_pixels=1000).reason == Reason.TOO_LARGE


def test_what_cannot_be_fetched_is_missing() -> None:
    assert reason_of(UnreadableImageError("no such file")) == Reason.MISSING


def test_a_sharp_thing_on_smooth_ground_is_not_blurred() -> None:
    finding = judge(encode(GOOD, "PNG"))
    assert finding.measures is not None
    assert finding.measures.blur > QualityLimits().max_blur
    assert finding.reasons == ()


def test_limits_can_be_switched_off() -> None:
    inf = float("inf")
    none = QualityLimits(
        min_side=1,
        max_aspect=inf,
        min_spread=0,
        min_highlights=0,
        max_shadows=255,
        min_chroma=0,
        max_blur=1,
        max_edge_width=inf,
        max_cut_off=1,
    )
    for name, (reason, data) in faulty().items():
        decoded = reason not in (Reason.UNSUPPORTED, Reason.CORRUPT)
        assert (judge(data, none).reasons == ()) == decoded, name


def test_limits_that_cannot_work_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"quality.min_side=0`: must be at least 1"):
        QualityLimits(min_side=0)
    with pytest.raises(ConfigError, match="max_blur=nan"):
        QualityLimits(max_blur=float("nan"))


def test_damaged_bytes_are_findings_and_no_errors() -> None:
    rng = np.random.default_rng(0)
    whole = np.frombuffer(encode(GOOD.resize((60, 80)), "JPEG"), np.uint8)
    for _ in range(60):
        data = whole.copy()
        data[rng.integers(0, len(data), 8)] = rng.integers(0, 256, 8)
        judge(data.tobytes())
