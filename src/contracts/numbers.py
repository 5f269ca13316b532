"""Numbers in text."""

import math
import re

__all__ = ["read_number"]

# Python's own `float` also reads `nan`, `inf`, `1_000` and digits of other scripts.
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


def read_number(text: str, *, decimal: str = ".") -> float:
    """Read a finite number in ASCII digits.

    Args:
        text: such as `9.5` or `1e3`; digits are not grouped.
        decimal: the decimal sign, `.` or `,`.

    Raises:
        ValueError: anything else, or a number beyond float64.
    """
    # Exchanged, so that a decimal point is refused where the sign is a comma.
    dotted = text if decimal == "." else text.translate({ord(","): ".", ord("."): ","})
    if not _NUMBER.fullmatch(dotted) or not math.isfinite(float(dotted)):
        raise ValueError(f"must be a finite number, such as 9{decimal}5")
    return float(dotted)
