"""Every command line of README.md and docs/ starts, does its work on small settings, and ends as it should."""

import pytest

from tests.documentation.commands import Command
from tests.documentation.documents import (
    COMMANDS,
    FILES,
    RUN,
    Documents,
    asks_the_service,
    benchmarked,
    check_answer,
    check_in_its_place,
    check_run,
    why_not_run,
)
from tests.documentation.placeholders import left_over, typed

pytestmark = pytest.mark.slow

# The benchmarks have a file of their own, which takes as long.
MINE = [command for command in COMMANDS if not benchmarked(command)]


def test_commands_are_found() -> None:
    counts = {file: sum(command.file == file for command in COMMANDS) for file in FILES}
    assert counts["README.md"] > 20
    assert counts["docs/training.md"] > 20


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_every_placeholder_stands_for_something(command: Command) -> None:
    words = left_over(typed(command))
    assert not words, f"{command}: `{command.text}`: add to tests/documentation/placeholders.py what stands for {words}"


@pytest.mark.parametrize("command", [command for command in MINE if command in RUN], ids=str)
def test_the_command_does_what_it_says(command: Command, documents: Documents) -> None:
    check_run(command, documents)


@pytest.mark.parametrize("command", [command for command in MINE if asks_the_service(command)], ids=str)
def test_the_service_answers(command: Command, documents: Documents, url: str) -> None:
    check_answer(command, documents, url)


@pytest.mark.parametrize("command", [command for command in MINE if why_not_run(command)], ids=str)
def test_what_is_not_run_could_be(command: Command, documents: Documents) -> None:
    check_in_its_place(command, documents)
