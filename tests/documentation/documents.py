"""What the tests of documented commands share: the commands, and folders to run them in."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.documentation.commands import Command, commands_of
from tests.documentation.placeholders import NOT_RUN, files_left, typed
from tests.documentation.service import served
from tests.documentation.small import small
from tests.documentation.workplace import ROOT, Done, Workplace

__all__ = [
    "COMMANDS",
    "FILES",
    "RUN",
    "Documents",
    "asks_the_service",
    "benchmarked",
    "check_answer",
    "check_in_its_place",
    "check_run",
    "why_not_run",
]

FILES = ["README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md"))]
COMMANDS = [command for file in FILES for command in commands_of(ROOT, file)]

EXPECTED = {
    # Its gate: a network that was hardly trained explains nothing.
    "src.eval.explanations.check": (2, "explanations that failed their checks"),
}
"""Programs that end with another code than 0 on small settings, and what they say."""

IN_EACH_FOLDER = r"export\.sign|openssl|index\.capacity measure"
"""Commands that change what the next ones of their block read."""


def why_not_run(command: Command) -> str | None:
    return next((reason for pattern, reason in NOT_RUN.items() if re.match(pattern, typed(command))), None)


def asks_the_service(command: Command) -> bool:
    return command.text.startswith("curl ") and why_not_run(command) is None


def sets_a_variable(command: Command) -> bool:
    return re.match(r"[A-Z_]+=\S*$|[A-Z_]+=\"[^\"]*\"$", command.text) is not None


def serves(text: str) -> bool:
    return re.search(r"-m serve(?!\.)(?!.*--help)", text) is not None


def up_to(command: Command) -> list[Command]:
    """The commands of its code block down to itself."""
    if command.block is None:
        return [command]
    block = [other for other in COMMANDS if (other.file, other.block) == (command.file, command.block)]
    return block[: block.index(command) + 1]


RUN = [command for command in COMMANDS if why_not_run(command) is None and not asks_the_service(command)]


def same(command: Command) -> str:
    """Equal for commands that do the same with small settings."""
    text = typed(command)
    try:
        return shlex.join(small(shlex.split(text)[1:])) if text.startswith("python ") else text
    except KeyError:  # none for its module, as the command will say
        return text


_BENCHMARKED = {same(command) for command in RUN if command.file == "docs/benchmarks.md"}


def benchmarked(command: Command) -> bool:
    """Whether it stands in docs/benchmarks.md, or does the same as one there: these have a test file of their own."""
    return command.file == "docs/benchmarks.md" or (command in RUN and same(command) in _BENCHMARKED)


class Documents:
    """Runs commands: those of a block in one folder and in their order, equal ones once."""

    def __init__(self, workplace: Workplace) -> None:
        self.workplace = workplace
        self._folders: dict[tuple[str, int], Path] = {}
        self._done: dict[str, tuple[Done, Path]] = {}

    def folder(self, command: Command) -> Path:
        key = command.file, -command.line if command.block is None else command.block
        if key not in self._folders:
            self._folders[key] = self.workplace.folder()
        return self._folders[key]

    def run(self, command: Command) -> tuple[Done, Path]:
        """Run it, after what stands before it in its block; the folder that it ran in."""
        for other in up_to(command):
            if other in RUN:
                self._run(other)
        return self._run(command)

    def _run(self, command: Command) -> tuple[Done, Path]:
        text, folder, key = typed(command), self.folder(command), same(command)
        if re.search(IN_EACH_FOLDER, text):
            key += f" # {folder}"
        if key not in self._done:
            self.workplace.lay_out(text, folder)
            if serves(text):
                with served(text, folder, self.workplace.environment):
                    done = Done(0, "")
            else:
                variables = [other.text for other in up_to(command)[:-1] if sets_a_variable(other)]
                done = self.workplace.run("; ".join([*variables, text]), folder)
            self._done[key] = done, folder
        return self._done[key]


def check_run(command: Command, documents: Documents) -> None:
    """The command ends as it should, and leaves the files that its explanation names."""
    if command.text.startswith("openssl ") and shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    done, folder = documents.run(command)
    text = typed(command)
    code, words = next((expected for name, expected in EXPECTED.items() if name in text), (0, ""))
    about = f"{command}: {text}\n{done.output}"
    assert done.code == code, about
    assert words in done.output, about
    assert "Traceback" not in done.output, about
    for file in files_left(command):
        assert (folder / file).exists(), f"{command}: left no {file}"


def check_answer(command: Command, documents: Documents, url: str) -> None:
    """The service answers the command and those that stand before it in its block."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    for other in up_to(command):
        if asks_the_service(other):
            text, folder = typed(other), documents.folder(other)
            documents.workplace.lay_out(text, folder)
            asked = text.replace("curl ", "curl --silent --show-error --fail-with-body --max-time 120 ", 1)
            done = documents.workplace.run(asked.replace("http://127.0.0.1:8000", url), folder)
            assert done.code == 0, f"{other}: {text}\n{done.output}"


def check_of(text: str) -> str | None:
    """What can be run in the place of a command that cannot."""
    if text.startswith("make "):
        return text.replace("make ", "make --dry-run ", 1)
    if "pytest " in text:
        return "ls " + " ".join(re.findall(r"tests/\S+", text))
    if text.startswith(("wandb ", "tensorboard ")):
        return re.sub(r"^(wandb sync|tensorboard).*", r"\1 --help", text)
    if "benchmarks.serving." in text:
        return text.replace("python -m", f"python {ROOT / 'tests' / 'documentation' / 'parse_only.py'}", 1)
    return f"{text} --help" if text.startswith("python ") else None


def check_in_its_place(command: Command, documents: Documents) -> None:
    """What stands for a command that cannot be run does its work."""
    check = check_of(typed(command))
    if check is None:
        pytest.skip(str(why_not_run(command)))
    done = documents.workplace.run(check, documents.folder(command))
    assert done.code == 0, f"{command}: {check}\n{done.output}"
