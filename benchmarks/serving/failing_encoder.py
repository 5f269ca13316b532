"""`python -m serve` whose encoder raises while a file exists, the one that ENCODER_FAILS_WHILE names.

The service knows nothing of it.
"""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

import serve.bundle.engine
import src.export.runtime
from serve.__main__ import main
from src.export.runtime import EncoderRuntime


class _Failing:
    """A runtime, and a flaw that comes and goes."""

    def __init__(self, encoder: EncoderRuntime, flag: Path) -> None:
        self._encoder, self._flag = encoder, flag
        self.size, self.description = encoder.size, encoder.description

    def embed(self, pixels: np.ndarray) -> np.ndarray:
        if self._flag.exists():
            raise RuntimeError(f"the encoder fails: {self._flag} exists")
        return self._encoder.embed(pixels)


def _install(flag: Path) -> None:
    really = src.export.runtime.open_encoder

    def opened(*arguments: Any, **keywords: Any) -> _Failing:
        return _Failing(really(*arguments, **keywords), flag)

    # The name under which the service has it.
    setattr(serve.bundle.engine, "open_encoder", opened)  # noqa: B010


if __name__ == "__main__":
    _install(Path(os.environ["ENCODER_FAILS_WHILE"]))
    sys.exit(main())
