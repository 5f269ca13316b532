"""Look-ups by id from a file: what the latest view has, of the expected encoder only."""

from pathlib import Path

import numpy as np
import pytest

from src.contracts.embedding_rows import tombstones
from src.contracts.errors import TableError
from src.pipelines.embeddings_table import Lineage, append_embeddings, open_embeddings
from src.pipelines.online_embeddings import OnlineEmbeddings, write_online_embeddings
from tests.pipelines.conftest import make_embeddings, unit_vectors

FROM = Lineage(run_id="r", bundle_id=None, source="images.parquet", source_version=None)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    root = tmp_path / "t"
    images = [f"i{number}/1" for number in range(1200)]
    append_embeddings(root, make_embeddings(images), batch_id="0", lineage=FROM)
    append_embeddings(root, tombstones(["i3/1"], ["i3"], encoder_id="e1", event_at=None), batch_id="1", lineage=FROM)
    return root


def test_vectors_by_id(table: Path, tmp_path: Path) -> None:
    file = tmp_path / "online.sqlite"
    assert write_online_embeddings(open_embeddings(table), file, encoder_id="e1") == 1199
    ids = [f"i{number}/1" for number in (7, 3, 1199, 7, 5000)]
    with OnlineEmbeddings(file, encoder_id="e1") as online:
        vectors, there = online.vectors(ids)
        assert (online.dim, online.table_version) == (8, 2)
        assert online.vectors([])[0].shape == (0, 8)
        every, all_there = online.vectors([f"i{number}/1" for number in range(1200)])
    expected = unit_vectors(1200).astype(np.float16).astype(np.float32)
    assert there.tolist() == [True, False, True, True, False]
    np.testing.assert_array_equal(vectors, [expected[7], 0 * expected[0], expected[1199], expected[7], 0 * expected[0]])
    np.testing.assert_array_equal(every[all_there], np.delete(expected, 3, axis=0))


def test_a_new_file_does_not_disturb_readers_of_the_old_one(table: Path, tmp_path: Path) -> None:
    file = tmp_path / "online.sqlite"
    write_online_embeddings(open_embeddings(table), file, encoder_id="e1")
    with OnlineEmbeddings(file, encoder_id="e1") as old:
        append_embeddings(table, make_embeddings(["new/1"]), batch_id="2", lineage=FROM)
        write_online_embeddings(open_embeddings(table), file, encoder_id="e1")
        with OnlineEmbeddings(file, encoder_id="e1") as new:
            assert [store.vectors(["new/1"])[1].tolist() for store in (old, new)] == [[False], [True]]


def test_another_encoder_or_file_is_refused(table: Path, tmp_path: Path) -> None:
    file = tmp_path / "online.sqlite"
    with pytest.raises(TableError, match=r"no such file; `python -m src\.pipelines\.store online`"):
        OnlineEmbeddings(file, encoder_id="e1")
    write_online_embeddings(open_embeddings(table), file, encoder_id="e1")
    with pytest.raises(TableError, match="of encoder 'e1', not of 'e2'"):
        OnlineEmbeddings(file, encoder_id="e2")
    file.write_bytes(b"something else")
    with pytest.raises(TableError, match="no file of online embeddings"):
        OnlineEmbeddings(file, encoder_id="e1")
    with pytest.raises(TableError, match="no embeddings in"):
        write_online_embeddings(open_embeddings(table), file, encoder_id="e9")
    assert file.read_bytes() == b"something else", "nothing was replaced"
