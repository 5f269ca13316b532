"""A bundle is opened as one, or not at all."""

from pathlib import Path

import pytest

from serve.bundle import engine
from serve.bundle.engine import Engine
from src.contracts.bundle import Bundle
from src.contracts.errors import BundleError
from src.export.runtime import EncoderRuntime, open_encoder
from tests.serve.small_bundle import catalogue, write_bundle


def test_a_bundle_that_is_replaced_while_it_is_opened_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index would be the old one's and the items the new one's: as many of each, and every result wrong."""
    root = write_bundle(tmp_path / "bundle", catalogue(3)).root

    def replaced(bundle: Bundle, **options) -> EncoderRuntime:
        encoder = open_encoder(bundle, **options)
        write_bundle(root, catalogue(3, seed=8))
        return encoder

    monkeypatch.setattr(engine, "open_encoder", replaced)
    with pytest.raises(BundleError, match="another took its place while it was being opened; open it again"):
        Engine.open(root, encoder_threads=1)
    monkeypatch.undo()
    Engine.open(root, encoder_threads=1)
