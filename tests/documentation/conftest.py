"""Documents whose commands are run, and a service that they ask."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documentation.documents import Documents
from tests.documentation.service import served
from tests.documentation.workplace import Workplace


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory, warm_python: Path) -> Documents:
    return Documents(Workplace(tmp_path_factory.mktemp("documents"), warm_python))


@pytest.fixture(scope="module")
def url(documents: Documents) -> Iterator[str]:
    """A service with two bundles to choose from, whose items may be changed."""
    workplace = documents.workplace
    folder = workplace.folder()
    workplace.lay_out("--bundle bundles/v1", folder)
    text = "python -m serve --bundle bundles/v1 --bundles bundles --state state"
    with served(text, folder, workplace.environment) as found:
        yield found
