"""Every command line of docs/benchmarks.md, and its like elsewhere, starts and ends as it should on small settings."""

import pytest

from tests.documentation.commands import Command
from tests.documentation.documents import (
    COMMANDS,
    RUN,
    Documents,
    benchmarked,
    check_in_its_place,
    check_run,
    why_not_run,
)

pytestmark = pytest.mark.slow

MINE = [command for command in COMMANDS if benchmarked(command)]


@pytest.mark.parametrize("command", [command for command in MINE if command in RUN], ids=str)
def test_the_command_does_what_it_says(command: Command, documents: Documents) -> None:
    check_run(command, documents)


@pytest.mark.parametrize("command", [command for command in MINE if why_not_run(command)], ids=str)
def test_what_is_not_run_could_be(command: Command, documents: Documents) -> None:
    check_in_its_place(command, documents)
