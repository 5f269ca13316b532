"""A data set by its name on the Hugging Face hub, through the package `datasets`."""

import importlib
import re
from functools import partial
from typing import Any

from src.catalog.hugging_face.part import Part
from src.contracts.errors import CatalogueError, ConfigError

__all__ = ["hub_parts"]

_ROWS = 256


def hub_parts(name: str, configuration: str) -> list[Part]:
    """The splits of a data set of the hub; `datasets` downloads it into its own cache.

    Args:
        name: `OWNER/NAME`, or `NAME` alone.
        configuration: one of the data set's; empty for its only one.

    Raises:
        ConfigError: the package `datasets` is not installed.
        CatalogueError: it cannot load this data set, or `name` is no name but a folder that does not exist.
    """
    if not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", name):
        raise CatalogueError(
            name, ["no such folder; set `data.root` to a data set's folder, or to its name on the hub"]
        )
    try:
        datasets = importlib.import_module("datasets")
    except ImportError as error:
        raise ConfigError(
            f"`data.root={name}`: no such folder; to load a data set of this name from Hugging Face's hub, install the "
            f"package datasets: pip install datasets. Without it, download the files (hf download {name} "
            f"--repo-type dataset --local-dir DIR) and set `data.root=DIR` ({error})"
        ) from error
    try:
        loaded: dict[str, Any] = datasets.load_dataset(name, configuration or None)
    # Network, authorisation, scripts that are refused, unknown configurations ...: each with a type of its own.
    except Exception as error:
        raise CatalogueError(
            name,
            [
                f"no such folder, and the package `datasets` cannot load it from the hub: {error} "
                f"({type(error).__name__}); a configuration is named with `data.manifest=NAME`"
            ],
        ) from error
    return [
        Part(split, one.features.to_dict(), partial(one.with_format("arrow").iter, batch_size=_ROWS))
        for split, one in loaded.items()
    ]
