"""From bytes to the encoder's pixels in one call."""

import numpy as np
from PIL import Image

from src.contracts.preprocessing import PreprocessingSpec, decode, preprocess, resize
from tests.pictures import encode, smooth_picture

IMAGE = Image.fromarray(smooth_picture(40, 60, seed=0))


def test_preprocess_is_decode_and_resize() -> None:
    spec = PreprocessingSpec(size=32, interpolation="lanczos")
    data = encode(IMAGE, "JPEG")
    np.testing.assert_array_equal(preprocess(data, spec), resize(decode(data), spec))
