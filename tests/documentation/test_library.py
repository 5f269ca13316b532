"""The snippets of docs/library.md run, one after the other, as a reader would type them."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from src.contracts.errors import LookalikeError

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "library.md"


def snippets() -> list[tuple[int, str]]:
    """The line that each begins on, and its text."""
    text = DOCUMENT.read_text()
    found = re.finditer(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [(text[: match.start(1)].count("\n") + 1, match[1]) for match in found]


@pytest.fixture
def workplace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder_catalogue: Callable, data_settings: Callable
) -> Path:
    """A folder with what the snippets name."""
    from tests.models.published import write_checkpoint
    from tests.search.small_bundle import catalogue, write_bundle

    folder_catalogue(tmp_path / "photos", items=12, images=3)
    (tmp_path / "photo.jpg").write_bytes(next((tmp_path / "photos").rglob("*.png")).read_bytes())
    write_checkpoint(tmp_path / "outputs" / "demo" / "checkpoints" / "best.ckpt", data_settings())
    write_bundle(tmp_path / "outputs" / "demo" / "bundle", catalogue(12))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_snippets_run_one_after_the_other(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = snippets()
    assert len(found) == 4
    names: dict = {}
    for line, text in found:
        exec(compile("\n" * (line - 1) + text, str(DOCUMENT), "exec"), names)
    hits = [line for line in capsys.readouterr().out.splitlines() if re.match(r"[01]\.\d{3} ", line)]
    assert len(hits) == 5
    assert names["loss"].isfinite()


def test_what_is_no_encoder_is_refused(tmp_path: Path) -> None:
    from src.models import load_encoder

    with pytest.raises(LookalikeError, match="no card of format"):
        load_encoder(tmp_path)
