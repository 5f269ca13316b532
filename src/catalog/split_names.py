"""The split that the names of a file and of its folders tell, by the Hugging Face hub's rules."""

import re
from pathlib import PurePosixPath

__all__ = ["SHARD", "keyword_split", "split_of_file"]

SHARD = re.compile(r"(?P<split>\w[\w.-]*?)-(?P<number>\d{5})-of-(?P<count>\d{5})(?:-[0-9a-f]+)?")
"""The stem of a file as the hub names shards: `train-00000-of-00002`."""

_KEYWORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_SPLITS = {word: split for split, words in _KEYWORDS.items() for word in words}


def split_of_file(path: PurePosixPath) -> str | None:
    """The split of a file of a data set.

    `train-00000-of-00002.parquet` names any split; else the words train, training, validation, valid, val, dev, test,
    testing, eval and evaluation count, in the file's name and then in its folders', from the innermost
    (https://huggingface.co/docs/hub/datasets-file-names-and-splits).

    Args:
        path: relative to the data set's folder.

    Returns:
        `train`, `validation`, `test` or a name of the data set's own; None where nothing tells it.
    """
    shard = SHARD.fullmatch(path.stem)
    if shard:
        return shard["split"]
    return next(filter(None, map(keyword_split, (path.stem, *reversed(path.parent.parts)))), None)


def keyword_split(name: str) -> str | None:
    """The split that a word of a file's or folder's name stands for, if one does."""
    return next((_SPLITS[word] for word in re.split("[^a-z]+", name.lower()) if word in _SPLITS), None)
