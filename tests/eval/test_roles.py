"""Who asks and who is searched, by the catalogue or by the command line."""

from pathlib import Path

import pytest

from src.catalog.catalogue import open_catalogue
from src.contracts.errors import LookalikeError
from src.eval.roles import split_rows


@pytest.fixture
def manifest(tmp_path: Path, encoded, picture, data_settings):
    (tmp_path / "a.png").write_bytes(encoded(picture(8, 8, seed=0), "PNG"))

    def opened(lines: str):
        (tmp_path / "list.csv").write_text(lines)
        settings = data_settings(reader="manifest", root=str(tmp_path), manifest="list.csv", split_by="given")
        return open_catalogue(settings)

    return opened


def test_domains_decide_unless_told_otherwise(manifest) -> None:
    catalogue = manifest(
        "image_id,item_id,image,split,domain\n1,x,a.png,val,user\n2,x,a.png,val,catalogue\n"
        "3,y,a.png,train,user\n4,y,a.png,val,\n5,y,a.png,val,catalogue\n"
    )
    for roles, queries, gallery in (
        ("given", [0], [1, 4]),
        ("user_to_catalogue", [0], [1, 4]),
        ("leave_one_out", [0, 1, 3, 4], [0, 1, 3, 4]),
    ):
        found = split_rows(catalogue, "val", roles)
        assert [rows.tolist() for rows in found] == [queries, gallery], roles


def test_given_roles_can_be_set_aside_and_absent_domains_are_an_error(manifest) -> None:
    catalogue = manifest("image_id,item_id,image,split,is_query,is_gallery\n1,x,a.png,val,1,0\n2,x,a.png,val,0,1\n")
    assert [rows.tolist() for rows in split_rows(catalogue, "val")] == [[0], [1]]
    assert [rows.tolist() for rows in split_rows(catalogue, "val", "leave_one_out")] == [[0, 1], [0, 1]]
    with pytest.raises(LookalikeError, match=r"0 queries and 0 gallery images \(`roles=user_to_catalogue`\)"):
        split_rows(catalogue, "val", "user_to_catalogue")
