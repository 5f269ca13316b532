"""Splits by the names of files and folders."""

from pathlib import PurePosixPath

import pytest

from src.catalog.split_names import split_of_file

NAMES = {
    "data/train-00000-of-00002.parquet": "train",
    "data/random_split-00000-of-00001.parquet": "random_split",
    "data/validation-00000-of-00001-0123456789abcdef.parquet": "validation",
    "my_training_set.tar": "train",
    "dev-07.tar": "validation",
    "data/Val/000.tar": "validation",
    "test/train-7.tar": "train",
    "a/eval.v2/x.tar": "test",
    "constraint.tar": None,
    "latest/000.tar": None,
    "000.tar": None,
    "s3://bucket/valid/{a}.tar": "validation",
}


@pytest.mark.parametrize("name", NAMES)
def test_the_split_of_a_name(name: str) -> None:
    assert split_of_file(PurePosixPath(name)) == NAMES[name]
