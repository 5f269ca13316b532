"""Keys: what is kept of them, and how they are found."""

import hmac
import math
import os
import stat

import pytest

from serve.access import keys as keys_module
from serve.access.__main__ import main
from serve.access.bucket import Bucket
from serve.access.keys import Role, find_key, new_key, parse_keys
from src.contracts.errors import ConfigError


def test_a_new_key_is_found_by_its_text_and_its_line_does_not_hold_it():
    text, key = new_key("shop", Role.WRITE, rate=2.5)
    assert parse_keys(["# ours", "", key.line()], place="x") == [key]
    assert text not in key.line()
    assert find_key([key], text) == key
    assert find_key([key], text[:-1]) is None
    assert new_key("shop", Role.WRITE)[0] != text


def test_a_search_for_a_key_compares_all_of_them_in_constant_time(monkeypatch):
    made = [new_key(f"key{number}", Role.SEARCH) for number in range(5)]
    compared = []

    def compare(one: str, other: str) -> bool:
        compared.append(one)
        return hmac.compare_digest(one, other)

    monkeypatch.setattr(keys_module, "hmac", type("Watched", (), {"compare_digest": staticmethod(compare)}))
    for text in (made[0][0], "wrong"):
        compared.clear()
        find_key([key for _, key in made], text)
        assert compared == [key.digest for _, key in made]


def test_all_wrong_lines_are_told_by_number_and_never_repeated():
    good = new_key("a", Role.SEARCH)[1].line()
    secret = "lk_this-is-the-key-itself"
    lines = [good, f"shop:search:{secret}", "x", f"b:root:{'0' * 64}", good, f"c:admin:{'0' * 64}:-1"]
    with pytest.raises(ConfigError) as caught:
        parse_keys(lines, place="keys.txt")
    told = str(caught.value)
    for part in (
        "keys.txt",
        "line 2: the third part",
        "line 3: must be",
        "line 4: the role",
        "line 6: the rate",
        "twice",
    ):
        assert part in told
    assert secret not in told


def test_bucket_lets_a_burst_pass_and_then_its_rate():
    now = 0.0
    bucket = Bucket(2.0, clock=lambda: now)
    assert [bucket.take() for _ in range(3)] == [0, 0, 0.5]
    now = 0.5
    assert [bucket.take() for _ in range(2)] == [0, 0.5]
    now = 1000.0
    assert [bucket.take() for _ in range(3)] == [0, 0, 0.5]
    assert [Bucket(math.inf).take() for _ in range(3)] == [0, 0, 0]


def test_command_makes_a_key_and_adds_its_line(tmp_path, capsys):
    path = tmp_path / "keys"
    path.write_text("# ours")
    assert main(["new", "--role", "admin", "--name", "ops", "--rate", "5", "--keys-file", str(path)]) == 0
    text = capsys.readouterr().out.strip()
    found = find_key(parse_keys(path.read_text().splitlines(), place="x"), text)
    assert found is not None
    assert (found.name, found.role, found.rate) == ("ops", Role.ADMIN, 5)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert main(["new", "--role", "admin", "--name", "ops", "--keys-file", str(path)]) == 2
    assert main(["new", "--role", "admin", "--name", "o:ps"]) == 2
    assert main(["new", "--role", "admin", "--name", "ops", "--rate", "nan"]) == 2
    assert "the rate must be" in capsys.readouterr().err
