"""Numbers in text."""

import pytest

from src.contracts.numbers import read_number

NOT_NUMBERS = [
    "",
    " ",
    "x",
    "1_000",
    "inf",
    "-inf",
    "Infinity",
    "nan",
    "NaN",
    "\u0967\u0968",  # Devanagari digits
    "\uff11",  # a wide digit
    "1e400",
    "-1e400",
    "1 000",
    "1\u00a0000",
    "0x10",
    "1e",
    ".",
    "--1",
    "1.2.3",
    "\u20ac5",
    "5 EUR",
    "1'000",
    "True",
    "1\n",
]


@pytest.mark.parametrize("text", NOT_NUMBERS)
@pytest.mark.parametrize("decimal", [".", ","])
def test_what_only_looks_like_a_number_is_refused(text: str, decimal: str) -> None:
    with pytest.raises(ValueError, match="must be a finite number"):
        read_number(text, decimal=decimal)


@pytest.mark.parametrize("text", ["0", "1", "-1", "+2", "1.50", ".5", "5.", "1e3", "1E-3", "007"])
def test_a_number_is_python_s_with_either_decimal_sign(text: str) -> None:
    assert read_number(text) == float(text)
    assert read_number(text.replace(".", ","), decimal=",") == float(text)


@pytest.mark.parametrize(("text", "decimal"), [("1,5", "."), ("1.5", ","), ("1.234,50", ","), ("1,234.50", ".")])
def test_the_other_sign_is_no_decimal_sign_and_groups_nothing(text: str, decimal: str) -> None:
    with pytest.raises(ValueError, match=rf"such as 9\{decimal}5"):
        read_number(text, decimal=decimal)
