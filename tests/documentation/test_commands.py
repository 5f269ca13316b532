"""How command lines are found in a document, and what they are given besides."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.documentation.commands import Command, commands_of
from tests.documentation.placeholders import files_left, left_over, typed
from tests.documentation.small import SHOP, small

DOCUMENT = """# Title

Type `make demo` or `python -m serve --runtime
NAME`; `make` and `python -m` alone are names.

    python train.py data=folder \\
        data.root=ROOT      # a folder
    S="a b"
    python evaluate.py checkpoint=PATH output=DIR   # -> DIR/metrics.json, DIR/report.html, ...
    photo ──> python
    for B in a b; do \\
        python evaluate.py baseline=$B; done

```python
for found in client.search(): print(found)
```

```sh
LOOKALIKE_PORT=1 python -m serve
export A=b
```
"""


@pytest.fixture
def commands(tmp_path: Path) -> list[Command]:
    (tmp_path / "a.md").write_text(DOCUMENT)
    return commands_of(tmp_path, "a.md")


def test_commands_are_found_where_they_stand(commands: list[Command]) -> None:
    assert [(command.line, command.block, command.text) for command in commands] == [
        (3, None, "make demo"),
        (3, None, "python -m serve --runtime NAME"),
        (6, 0, "python train.py data=folder data.root=ROOT"),
        (8, 0, 'S="a b"'),
        (9, 0, "python evaluate.py checkpoint=PATH output=DIR"),
        (11, 0, "for B in a b; do python evaluate.py baseline=$B; done"),
        (19, 1, "LOOKALIKE_PORT=1 python -m serve"),
        (20, 1, "export A=b"),
    ]


def test_files_behind_an_arrow_are_those_of_the_command_s_own_folder(commands: list[Command]) -> None:
    evaluate = commands[4]
    folder = typed(evaluate).split("output=")[1]
    assert files_left(evaluate) == [f"{folder}/metrics.json", f"{folder}/report.html"]
    assert left_over(typed(evaluate)) == []
    assert typed(evaluate).startswith("python evaluate.py checkpoint=outputs/")


@pytest.mark.parametrize("text", ["python x.py root=WHERE", "python x.py WHERE", "curl http://HOST/x"])
def test_a_placeholder_that_nothing_replaces_is_found(text: str) -> None:
    assert left_over(typed(Command("a.md", 1, text, (), None)))


@pytest.mark.parametrize("text", ['curl -X PUT -H "A: $TOKEN"', "LOOKALIKE_PORT=1 python -m serve", "python ViT-S/16"])
def test_variables_and_names_are_no_placeholders(text: str) -> None:
    assert not left_over(text)


def test_small_settings_come_last_and_before_options() -> None:
    given = ["train.py", "experiment=demo", "trainer.epochs=8", "--cfg", "job"]
    settings = small(given)
    assert settings[:3] == given[:3]
    assert settings[-2:] == given[-2:]
    assert {*SHOP, "trainer.epochs=1"} < {*settings}
    # Nothing that the command is about is taken away.
    assert "trainer.epochs=1" not in small(["train.py", "experiment=demo", "trainer.epochs=0"])
    assert not any("limit_train" in word for word in small(["train.py", "experiment=demo", "debug=overfit"]))
    assert not any(word.startswith("data.k=") for word in small(["train.py", "experiment=demo", "data.k=2,4"])[3:])


def test_options_that_were_given_are_given_once() -> None:
    settings = small(["-m", "benchmarks.label_errors", "a", "b", "--planted", "24", "--repeats", "20"])
    assert settings == ["-m", "benchmarks.label_errors", "a", "b", "--planted", "4", "--repeats", "2"]


def test_others_are_left_alone() -> None:
    for arguments in (["-c", "print(1)"], ["-m", "pip", "install"], ["-m", "src.catalog.shop._worker", "{}"], []):
        assert small(arguments) == arguments


def test_a_module_without_small_settings_ends_with_what_to_add(repository: Path) -> None:
    script = repository / "tests" / "documentation" / "small_python.py"
    command = [sys.executable, "-I", "-S", str(script), sys.executable, "-m", "benchmarks.new"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "small.py: ARGUMENTS has no small settings for `python -m benchmarks.new`: add them" in done.stderr
