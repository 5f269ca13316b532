"""`python -m serve` whose encoder fails while the file exists that ENCODER_FAILS_WHILE names.

It raises, or hangs where the file holds `hang`.

The worker processes of the service import this module as their main module, and get the same encoder by that.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import src.export.runtime
import src.search.searcher
from serve.__main__ import main
from src.export.runtime import EncoderRuntime


class _Failing:
    """A runtime that fails while a file exists."""

    def __init__(self, encoder: EncoderRuntime, flag: Path) -> None:
        self._encoder, self._flag = encoder, flag
        self.size, self.description, self.has_norms = encoder.size, encoder.description, encoder.has_norms

    def embed(self, pixels: np.ndarray) -> np.ndarray:
        return self.embed_with_norms(pixels)[0]

    def embed_with_norms(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        while self._flag.exists():
            if self._flag.read_text() != "hang":
                raise RuntimeError(f"the encoder fails: {self._flag} exists")
            time.sleep(0.01)
        return self._encoder.embed_with_norms(pixels)


def _install(flag: Path) -> None:
    really = src.export.runtime.open_encoder

    def opened(*arguments: Any, **keywords: Any) -> _Failing:
        return _Failing(really(*arguments, **keywords), flag)

    # The name under which the service calls it.
    setattr(src.search.searcher, "open_encoder", opened)  # noqa: B010


_install(Path(os.environ["ENCODER_FAILS_WHILE"]))

if __name__ == "__main__":
    sys.exit(main())
