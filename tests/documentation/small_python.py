"""`python ARGUMENTS` with small settings: small_python.py INTERPRETER ARGUMENTS."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from small import small


def main() -> None:
    """Become the interpreter."""
    interpreter, *arguments = sys.argv[1:]
    try:
        settings = small(arguments)
    except KeyError as missing:
        sys.exit(
            f"tests/documentation/small.py: ARGUMENTS has no small settings for `python -m {missing.args[0]}`: add them"
        )
    os.execv(interpreter, [interpreter, *settings])


if __name__ == "__main__":
    main()
