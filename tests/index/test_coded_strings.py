"""Codes say what the strings said."""

import random

import numpy as np
import pyarrow as pa
import pytest

from src.index.coded_strings import code_strings, sorted_dictionary

VALUES = [None, "", "a", "b", "B", "é", "日本", "😀", "\uffff", "a/b"]


@pytest.mark.parametrize("rows", [0, 1, 2, 19, 500])
def test_a_column_keeps_its_strings_and_its_dictionary_is_sorted(rows: int) -> None:
    draw = random.Random(rows)
    strings = [draw.choice(VALUES) for _ in range(rows)]
    coded = code_strings(pa.chunked_array([strings[: rows // 2], strings[rows // 2 :]], pa.string()))
    assert coded.to_pylist() == strings
    if isinstance(coded, pa.DictionaryArray):
        assert coded.dictionary.to_pylist() == sorted(set(strings) - {None})
    else:
        assert coded.type == pa.large_string()
        assert 2 * len(set(strings) - {None}) > sum(string is not None for string in strings)


def test_a_column_of_nulls_and_one_of_values_that_stand_twice_are_coded() -> None:
    assert code_strings(pa.chunked_array([pa.nulls(3, pa.string())])).to_pylist() == [None] * 3
    assert pa.types.is_dictionary(code_strings(pa.chunked_array([["a", "b", "a", "b"]])).type)
    assert pa.types.is_large_string(code_strings(pa.chunked_array([["a", "b", "c", "b", None]])).type)


@pytest.mark.parametrize(("values", "width"), [(1, 1), (128, 1), (129, 2), (32_768, 2), (32_769, 4)])
def test_codes_take_the_smallest_type_that_holds_them(values: int, width: int) -> None:
    names = [f"{number:05d}" for number in np.random.default_rng(0).permutation(values)]
    coded = sorted_dictionary(pa.array(names).dictionary_encode())
    assert coded.indices.type.bit_width == 8 * width
    assert coded.to_pylist() == names
