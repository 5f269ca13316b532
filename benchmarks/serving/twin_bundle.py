"""A bundle that finds what another one finds, under an identity of its own: something to swap with."""

import shutil
from pathlib import Path

from src.contracts.bundle import open_bundle, staged_bundle

__all__ = ["write_twin"]


def write_twin(source: Path, output: Path, name: str) -> str:
    """Copy a bundle with another catalogue's name in its manifest; returns the copy's id."""
    bundle = open_bundle(source)
    with staged_bundle(output) as draft:
        for file in bundle.content["files"]:
            shutil.copy(bundle.path(file), draft.root / file)
        catalogue = {**bundle.content["catalogue"], "name": name}
        draft.content |= {**bundle.content, "catalogue": catalogue}
        draft.measured |= bundle.measured
    return open_bundle(output).bundle_id
