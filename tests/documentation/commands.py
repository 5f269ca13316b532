"""The command lines of Markdown files: those of code blocks, and those between backquotes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Command", "commands_of"]

_PROGRAMS = (
    "python", "make", "curl", "jupytext", "pytest", "pip", "uv", "openssl", "promtool", "kubectl", "podman", "docker",
    "helm", "tensorboard", "wandb", "mlflow", "redis-benchmark", "redis-cli", "psql", "sqlite3", "kill", "git",
    "apt-get", "time",
)  # fmt: skip
_FIRST = rf"(?:\S*/)?(?:{'|'.join(_PROGRAMS)})3?"
_VALUE = r"""(?:"[^"]*"|'[^']*'|[^\s"']*)"""
_COMMAND = re.compile(
    rf"(?:export [A-Z_]+=|for \w+ in .*; do |[A-Z_]+={_VALUE}$|(?:[A-Z_]+={_VALUE} )*{_FIRST} (?!-m$))"
)
_EXPLANATION = re.compile(r"\s+# (.*)$")


@dataclass(frozen=True)
class Command:
    """A command line as it stands in a file.

    Attributes:
        file: path of the Markdown file from the root of the repository.
        line: of its first line, from 1.
        text: what is typed, on one line, without what explains it.
        leaves: the files that its explanation names behind an arrow.
        block: number of its code block in the file; None between backquotes.
    """

    file: str
    line: int
    text: str
    leaves: tuple[str, ...]
    block: int | None

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def commands_of(root: Path, file: str) -> list[Command]:
    """All command lines of a file, in order."""
    lines = (root / file).read_text().splitlines()
    found = [*_of_blocks(file, lines), *_between_backquotes(file, lines)]
    return sorted(found, key=lambda command: command.line)


def _of_blocks(file: str, lines: list[str]) -> Iterator[Command]:
    number, block, inside = 0, -1, False
    while number < len(lines):
        if not _is_code(lines, number):
            number, inside = number + 1, False
            continue
        block, inside = block + (not inside), True
        first, text = number, lines[number].strip()
        while text.endswith("\\") and number + 1 < len(lines):
            number += 1
            text = f"{text[:-1].rstrip()} {lines[number].strip()}"
        number += 1
        if _COMMAND.match(text):
            yield _command(file, first + 1, text, block)


def _is_code(lines: list[str], number: int) -> bool:
    if lines[number].lstrip().startswith("```"):
        return False
    fences = [line.lstrip() for line in lines[:number] if line.lstrip().startswith("```")]
    if len(fences) % 2:
        return fences[-1] in ("```", "```sh", "```bash", "```shell", "```console")
    return lines[number].startswith("    ")


def _between_backquotes(file: str, lines: list[str]) -> Iterator[Command]:
    text = "\n".join(
        "" if _is_code(lines, number) or line.lstrip().startswith("```") else line for number, line in enumerate(lines)
    )
    for span in re.finditer(r"`([^`]+)`", text):
        typed = " ".join(span[1].split())
        # One word alone names a program.
        if " " in typed and _COMMAND.match(typed):
            yield _command(file, text[: span.start()].count("\n") + 1, typed, None)


def _command(file: str, line: int, text: str, block: int | None) -> Command:
    explanation = _EXPLANATION.search(text)
    _, _, files = explanation[1].partition("-> ") if explanation else ("", "", "")
    leaves = tuple(word.strip(",;") for word in files.split() if "/" in word)
    return Command(file, line, _EXPLANATION.sub("", text), leaves, block)
