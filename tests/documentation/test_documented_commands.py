"""Every command line of the documents starts, does its work on small settings, and ends as it should."""

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve.settings import ServeSettings
from tests.documentation.commands import Command, commands_of
from tests.documentation.placeholders import NOT_RUN, files_left, left_over, typed
from tests.documentation.service import served
from tests.documentation.small import small
from tests.documentation.workplace import ROOT, Done, Workplace

pytestmark = pytest.mark.slow

FILES = ["README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md"))]
COMMANDS = [
    command
    for file in FILES
    for command in commands_of(ROOT, file)
    # The service of docs/serving.md before it had one token for all that writes.
    if "token" in ServeSettings.model_fields or not (file == "docs/serving.md" or "serve.client" in command.text)
]

EXPECTED = {
    # Its gate: a network that was hardly trained explains nothing.
    "src.eval.explanations.check": (2, "explanations that failed their checks"),
}
"""Programs that end with another code than 0 on small settings, and what they say."""


IN_EACH_FOLDER = r"export\.sign|openssl|index\.capacity measure"
"""Commands that change what the next ones of their block read."""


def block_of(command: Command) -> list[Command]:
    """What stands in the same code block up to the command, itself last."""
    if command.block is None:
        return [command]
    return [
        other
        for other in COMMANDS
        if (other.file, other.block) == (command.file, command.block) and other.line <= command.line
    ]


def reason_not_run(text: str) -> str | None:
    return next((reason for pattern, reason in NOT_RUN.items() if re.match(pattern, text)), None)


class Documents:
    """Runs each command once: in the folder of its block, after those before it; equal ones anywhere but once."""

    def __init__(self, workplace: Workplace) -> None:
        self.workplace = workplace
        self._folders: dict[tuple[str, int | None], Path] = {}
        self._done: dict[str, tuple[Done, Path]] = {}

    def folder(self, command: Command) -> Path:
        key = (command.file, command.block if command.block is not None else -command.line)
        if key not in self._folders:
            self._folders[key] = self.workplace.folder()
        return self._folders[key]

    def run(self, command: Command) -> tuple[Done, Path]:
        """Run what it needs and itself."""
        *before, last = block_of(command)
        for other in before:
            if not re.match(r"[A-Z]+=|curl ", other.text) and reason_not_run(typed(other)) is None:
                self._run(other)
        return self._run(last)

    def _run(self, command: Command) -> tuple[Done, Path]:
        text = typed(command)
        # Commands that are equal with small settings are equal.
        key = shlex.join(small(shlex.split(text)[1:])) if text.startswith("python ") else text
        if re.search(IN_EACH_FOLDER, text):
            key += f" # {self.folder(command)}"
        if key not in self._done:
            folder = self.folder(command)
            self.workplace.lay_out(text, folder)
            set_before = [other.text for other in block_of(command)[:-1] if re.match(r"[A-Z]+=", other.text)]
            if serves(text):
                with served(text, folder, self.workplace.environment):
                    done = Done(0, "")
            else:
                done = self.workplace.run("; ".join([*set_before, text]), folder)
            self._done[key] = done, folder
        return self._done[key]


def serves(text: str) -> bool:
    return "-m serve" in text and not re.search(r"-m serve\.|--help", text)


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory, warm_python: Path) -> Documents:
    return Documents(Workplace(tmp_path_factory.mktemp("documents"), warm_python))


@pytest.fixture(scope="module")
def url(documents: Documents) -> Iterator[str]:
    """A server of the tiny bundle whose items may be changed."""
    workplace = documents.workplace
    folder = workplace.folder()
    workplace.lay_out("--bundle bundles/v1", folder)
    text = "python -m serve --bundle bundles/v1 --state state"
    with served(text, folder, workplace.environment) as found:
        yield found


def test_commands_are_found() -> None:
    counts = {file: sum(command.file == file for command in COMMANDS) for file in FILES}
    assert len(COMMANDS) > 100
    assert counts["README.md"] > 20
    assert counts["docs/training.md"] > 20


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_every_placeholder_stands_for_something(command: Command) -> None:
    words = left_over(typed(command))
    assert not words, (
        f"{command}: `{command.text}`: tests/documentation/placeholders.py has nothing for {words}: add it"
    )


PLAIN = [
    command for command in COMMANDS if reason_not_run(typed(command)) is None and not typed(command).startswith("curl ")
]


@pytest.mark.parametrize("command", PLAIN, ids=str)
def test_the_command_does_what_it_says(command: Command, documents: Documents) -> None:
    text = typed(command)
    if missing := [name for name in re.findall(r"^(\w+)", text) if name in ("openssl",) and shutil.which(name) is None]:
        pytest.skip(f"{missing[0]} is not installed")
    done, folder = documents.run(command)
    code, words = next((found for name, found in EXPECTED.items() if name in text), (0, ""))
    about = f"{command}: {text}\n{done.output}"
    assert done.code == code, about
    assert words in done.output, about
    assert "Traceback" not in done.output, about
    for file in files_left(command):
        assert (folder / file).exists(), f"{command}: left no {file}"


@pytest.mark.parametrize("command", [command for command in COMMANDS if typed(command).startswith("curl ")], ids=str)
def test_the_service_answers(command: Command, documents: Documents, url: str) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    folder = documents.folder(command)
    for other in block_of(command):
        text = typed(other)
        if text.startswith("curl "):
            documents.workplace.lay_out(text, folder)
            asked = re.sub(r"^curl ", "curl --silent --show-error --fail-with-body --max-time 60 ", text)
            done = documents.workplace.run(asked.replace("http://127.0.0.1:8000", url), folder)
            assert done.code == 0, f"{other}: {text}\n{done.output}"


@pytest.mark.parametrize("command", [command for command in COMMANDS if command not in PLAIN], ids=str)
def test_what_is_not_run_exists_at_least(command: Command, documents: Documents) -> None:
    text = typed(command)
    if text.startswith("curl "):
        return
    print(reason_not_run(text))
    folder = documents.folder(command)
    if text.startswith("make "):
        check = text.replace("make ", "make --dry-run ")
    elif "pytest " in text:
        check = f"test -e {re.search(r'tests/[^ ]+', text)[0]}"
    elif text.startswith(("wandb ", "tensorboard ")):
        check = re.sub(r"^(wandb sync|tensorboard).*", r"\1 --help", text)
    elif "benchmarks.serving" in text:
        check = text.replace("python -m", f"python {ROOT / 'tests' / 'documentation' / 'parse_only.py'}")
    elif re.match(r"python -m benchmarks\.(gpu$|reduced_decoding)", text):
        check = f"{text} --help"
    else:
        return
    done = documents.workplace.run(check, folder)
    assert done.code == 0, f"{command}: {check}\n{done.output}"
