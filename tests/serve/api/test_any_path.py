import pytest
from starlette.routing import Match, Route

import serve.api.any_path  # noqa: F401 - makes `any` in paths known


@pytest.mark.parametrize("name", ["a", "a/b c", "a\n", "\n", "a\r\u2028b", "a/similar", "", "\0"])
def test_path_has_every_character_up_to_its_end(name):
    for pattern, path in (
        ("/items/{name:any}", f"/items/{name}"),
        ("/items/{name:any}/similar", f"/items/{name}/similar"),
    ):
        match, scope = Route(pattern, lambda request: None).matches({"type": "http", "method": "GET", "path": path})
        assert match is Match.FULL
        assert scope["path_params"] == {"name": name}
