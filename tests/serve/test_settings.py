"""Settings: where they come from, what wins, and what is said of wrong ones."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from serve import commandline
from serve.commandline import read_settings
from serve.settings import ServeSettings
from src.contracts.errors import ConfigError


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose `.env` is the test's own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_is_set_nowhere_has_its_default():
    assert read_settings([]).model_dump() == ServeSettings().model_dump()


def test_command_line_wins_over_environment_and_environment_over_file(elsewhere, monkeypatch):
    lines = ["LOOKALIKE_PORT=1", "LOOKALIKE_WORKERS=1", "LOOKALIKE_MAX_IN_FLIGHT=1", "OTHER=x"]
    (elsewhere / ".env").write_text("\n".join(lines))
    monkeypatch.setenv("LOOKALIKE_PORT", "2")
    monkeypatch.setenv("LOOKALIKE_WORKERS", "2")
    settings = read_settings(["--port", "3"])
    assert (settings.port, settings.workers, settings.max_in_flight) == (3, 2, 1)


@pytest.mark.parametrize("name", ServeSettings.model_fields)
def test_every_setting_has_a_description_and_is_an_option_unless_secret(name, capsys):
    field = ServeSettings.model_fields[name]
    assert field.description
    with pytest.raises(SystemExit):
        read_settings(["--help"])
    option = f"--{name.replace('_', '-')} "
    assert (option in capsys.readouterr().out) == (field.annotation not in (SecretStr, SecretStr | None))


def test_everything_wrong_is_told_at_once(elsewhere, monkeypatch):
    (elsewhere / ".env").write_text("LOOKALIKE_MAX_UPLOD_MIB=3\n")
    monkeypatch.setenv("LOOKALIKE_UPLOAD_SECONDS", "nan")
    monkeypatch.setenv("LOOKALIKE_DRAIN_SECONDS", "soon")
    with pytest.raises(ConfigError) as caught:
        read_settings(["--max-in-flight", "0", "--runtime", "magic", "--port", "70000"])
    for told in (
        "`LOOKALIKE_MAX_UPLOD_MIB` is no setting; did you mean LOOKALIKE_MAX_UPLOAD_MIB?",
        "`LOOKALIKE_UPLOAD_SECONDS=nan`: must be a finite number",
        "`LOOKALIKE_DRAIN_SECONDS=soon`: must be a whole number",
        "`--max-in-flight 0`: must be at least 1",
        "`--port 70000`: must be at most 65535",
        "`--runtime magic`: must be one of auto, ",
    ):
        assert told in str(caught.value)


def test_secret_is_neither_an_option_nor_shown(monkeypatch, capsys):
    class Secretive(ServeSettings):
        word: SecretStr | None = None

    monkeypatch.setattr(commandline, "ServeSettings", Secretive)
    found = {"loc": ("word",), "input": "hunter2", "type": "string_type", "msg": "no", "ctx": {}}
    assert commandline._told(found, {}) == "`LOOKALIKE_WORD=***`: no"
    with pytest.raises(SystemExit):
        read_settings(["--word", "hunter2"])
    assert "hunter2" not in repr(Secretive(word="hunter2"))
