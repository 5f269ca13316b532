"""Settings: where they come from, which source wins, and what is said of wrong ones."""

from pathlib import Path

import pytest

from serve.settings import ServeSettings, read_settings
from src.contracts.errors import ConfigError

SECRETS = ("token", "redis_url", "store_url", "changes_url", "milvus_token")
BAD = [
    ("--bundle", "", "must not be empty"),
    ("--state", "", "must not be empty"),
    ("--public-key", "", "must not be empty"),
    ("--port", "99999", "less than or equal to 65535"),
    ("--port", "http", "valid integer"),
    ("--root-path", "shop", "'^(/"),
    ("--root-path", "/shop/", "'^(/"),
    ("--processes", "0", "greater than or equal to 1"),
    ("--processes", "257", "less than or equal to 256"),
    ("--head-seconds", "0", "greater than or equal to 1"),
    ("--head-seconds", "61", "less than or equal to 60"),
    ("--max-upload-mib", "-1", "greater than 0"),
    ("--max-upload-mib", "nan", "finite"),
    ("--upload-seconds", "0", "greater than 0"),
    ("--upload-seconds", "inf", "finite"),
    ("--max-pixels", "0", "greater than or equal to 1"),
    ("--decode-mib", "0", "greater than 0"),
    ("--max-in-flight", "0", "greater than or equal to 1"),
    ("--max-standing", "-1", "greater than or equal to 0"),
    ("--workers", "-1", "greater than or equal to 0"),
    ("--encoders", "1.5", "valid integer"),
    ("--encoder-threads", "-1", "greater than or equal to 0"),
    ("--max-batch", "0", "greater than or equal to 1"),
    ("--batch-wait-ms", "1001", "less than or equal to 1000"),
    ("--max-images", "257", "less than or equal to 256"),
    ("--deadline-seconds", "0", "greater than 0"),
    ("--cache-mib", "-1", "greater than or equal to 0"),
    ("--redis-budget-ms", "0", "greater than 0"),
    ("--cache-ttl-seconds", "0", "greater than or equal to 1"),
    ("--store-budget-ms", "1001", "less than or equal to 1000"),
    ("--milvus-uri", "http://a:b@host:19530", "should match pattern"),
    ("--milvus-consistency", "Session", "'Strong', 'Bounded' or 'Eventually'"),
    ("--runtime", "magic", "'auto', 'tensorrt'"),
    ("--precision", "f16", "'auto', 'f32' or 'bf16'"),
    ("--drift", "", "must not be empty"),
    ("--drift-minutes", "0", "greater than 0"),
    ("--drift-photos", "perhaps", "valid boolean"),
    ("--log-format", "xml", "'text' or 'json'"),
    ("--log-level", "INFO", "'debug', 'info'"),
    ("--drain-seconds", "0", "greater than or equal to 1"),
]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose `.env` is the test's own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal(arguments: list[str]) -> str:
    with pytest.raises(ConfigError) as caught:
        read_settings(arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_set_nowhere_has_its_default():
    assert read_settings([]).model_dump() == ServeSettings().model_dump()


def test_command_line_wins_over_environment_and_environment_over_file(elsewhere, monkeypatch):
    lines = ["LOOKALIKE_PORT=1", "LOOKALIKE_WORKERS=1", "LOOKALIKE_MAX_IN_FLIGHT=1", "OTHER=x"]
    (elsewhere / ".env").write_text("\n".join(lines))
    monkeypatch.setenv("LOOKALIKE_PORT", "2")
    monkeypatch.setenv("LOOKALIKE_WORKERS", "2")
    settings = read_settings(["--port", "3"])
    assert (settings.port, settings.workers, settings.max_in_flight) == (3, 2, 1)


def test_help_lists_every_setting_with_its_default_except_secrets(capsys, monkeypatch):
    monkeypatch.setenv("LOOKALIKE_TOKEN", "hunter2")
    with pytest.raises(SystemExit) as ended:
        read_settings(["--help"])
    assert not ended.value.code
    shown = capsys.readouterr().out
    for name, field in ServeSettings.model_fields.items():
        assert field.description
        option = f"--{name.replace('_', '-')} "
        assert (option in shown) == (name not in SECRETS), name
        assert name in SECRETS or f"(default: {field.default})" in " ".join(shown.split()), name
    for word in ("LOOKALIKE_MAX_IN_FLIGHT=64", "LOOKALIKE_TOKEN", "Exit codes"):
        assert word in shown
    assert "hunter2" not in shown


@pytest.mark.parametrize(("option", "value", "rule"), BAD)
def test_bad_value_is_named_with_its_rule(option, value, rule):
    told = refusal([option, value])
    assert f"`{option} {value}`" in told
    assert rule in told


def test_every_setting_with_a_rule_is_tried_above():
    """A new setting needs a bad value, unless any text, path or address is one of its values."""
    tried = {option for option, _, _ in BAD}
    free = {"bundles", "host", "detector", *SECRETS}
    assert {name for name in ServeSettings.model_fields if f"--{name.replace('_', '-')}" not in tried} == free


def test_all_problems_are_reported_at_once(elsewhere, monkeypatch):
    (elsewhere / ".env").write_text("LOOKALIKE_MAX_UPLOD_MIB=3\n")
    monkeypatch.setenv("LOOKALIKE_UPLOAD_SECONDS", "nan")
    monkeypatch.setenv("LOOKALIKE_DRAIN_SECONDS", "soon")
    told = refusal(["--max-in-flight", "0", "--port", "70000"])
    for problem in (
        "`LOOKALIKE_MAX_UPLOD_MIB` is no setting; did you mean LOOKALIKE_MAX_UPLOAD_MIB?",
        "`--upload-seconds nan` (LOOKALIKE_UPLOAD_SECONDS): ",
        "`--drain-seconds soon` (LOOKALIKE_DRAIN_SECONDS): ",
        "`--max-in-flight 0`",
        "`--port 70000`",
    ):
        assert problem in told


@pytest.mark.parametrize(
    "arguments", [["--prt", "1"], ["--max-in", "3"], ["extra"], ["--bundle"], ["--bundle", "x", "--", "y"]]
)
def test_unknown_argument_is_an_error_of_one_line(arguments, capsys):
    assert "--help" in refusal(arguments)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("name", SECRETS)
def test_secret_comes_from_the_environment_only_and_is_not_shown(name, monkeypatch):
    option = f"--{name.replace('_', '-')}"
    for arguments in ([option, "hunter2"], [f"{option}=hunter2"]):
        told = refusal(arguments)
        assert f"set the environment variable LOOKALIKE_{name.upper()}" in told
        assert "hunter2" not in told
    monkeypatch.setenv(f"LOOKALIKE_{name.upper()}", "hunter2")
    settings = read_settings([])
    assert getattr(settings, name).get_secret_value() == "hunter2"
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings.model_dump())


@pytest.mark.parametrize("name", SECRETS)
def test_empty_variable_sets_no_secret(name, monkeypatch):
    """As `${LOOKALIKE_TOKEN:-}` in a compose file makes it: an empty token would let everybody in."""
    monkeypatch.setenv(f"LOOKALIKE_{name.upper()}", "")
    assert getattr(read_settings([]), name) is None


@pytest.mark.parametrize("token", ["two words", "ümlaut", "comma,", "line\nbreak"])
def test_token_that_no_header_can_hold_is_refused_and_not_shown(token, monkeypatch):
    monkeypatch.setenv("LOOKALIKE_TOKEN", token)
    told = refusal([])
    assert told.startswith("`LOOKALIKE_TOKEN=***`: must be letters, digits")
    assert token not in told


def test_batch_has_no_more_photos_than_may_be_in_flight():
    assert ServeSettings(max_in_flight=3).most_images == 3
    assert ServeSettings(max_images=2).most_images == 2
    assert ServeSettings(max_upload_mib=0.5).max_upload == 2**19
