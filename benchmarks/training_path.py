"""Which files of Lookalike run between `python train.py` and the first step of its optimiser.

It counts files under src/ of which a function ran, and modules that were imported. Run it twice: the first run may draw
the shop and decode the pixels.

    python -m benchmarks.training_path experiment=demo
"""

import os
import runpy
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

__all__: list[str] = []

_ROOT = Path(__file__).resolve().parents[1]
_SOURCE = f"{_ROOT / 'src'}{os.sep}"
_FUNCTION = 1
"""Flag of a code object with local variables of its own: of functions, not of modules and class bodies."""
_COMPREHENSIONS = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>")


def main() -> None:
    """Run train.py with the arguments of this command until the first step."""
    ran: set[str] = set()

    def visit(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if code.co_filename.startswith(_SOURCE):
            if code.co_flags & _FUNCTION and code.co_name not in _COMPREHENSIONS:
                ran.add(code.co_filename.removeprefix(_SOURCE))
        elif code.co_name == "step" and code.co_filename.endswith(("torch/optim/adam.py", "torch/optim/adamw.py")):
            sys.settrace(None)
            imported = [name for name in sys.modules if name == "src" or name.startswith("src.")]
            print("\n".join(sorted(ran)))
            print(f"files of which a function ran: {len(ran)}; modules imported: {len(imported)}", flush=True)
            os._exit(0)  # The training itself is not wanted.

    sys.path.insert(0, str(_ROOT))
    sys.argv[0] = "train.py"
    threading.settrace(visit)
    sys.settrace(visit)
    runpy.run_path(str(_ROOT / "train.py"), run_name="__main__")


if __name__ == "__main__":
    main()
