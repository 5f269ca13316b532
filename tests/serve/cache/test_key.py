import struct
from itertools import combinations

from serve.cache.key import EmbeddingKeys
from tests.search.small_bundle import Shop, manifest


def test_everything_that_changes_an_embedding_changes_the_key():
    common = {"encoder": "e", "preprocessing": "p", "arithmetic": "f32"}
    data = b"photo"
    keys = [
        EmbeddingKeys(**common).key(data),
        EmbeddingKeys(**{**common, "encoder": "f"}).key(data),
        EmbeddingKeys(**{**common, "preprocessing": "q"}).key(data),
        EmbeddingKeys(**{**common, "arithmetic": "bf16"}).key(data),
        EmbeddingKeys(**common).key(data + b"\0"),
        EmbeddingKeys(**common).key(data, (0, 0, 1, 1)),
        EmbeddingKeys(**common).key(data, (0, 0, 1, 0.5)),
    ]
    assert all(left != right for left, right in combinations(keys, 2))
    assert EmbeddingKeys(**common).key(data) == keys[0]


def test_parts_do_not_run_into_each_other():
    left = EmbeddingKeys(encoder="ab", preprocessing="c", arithmetic="")
    assert left.key(b"") != EmbeddingKeys(encoder="a", preprocessing="bc", arithmetic="").key(b"")


def test_box_cannot_be_forged_by_the_files_end(shop: Shop):
    keys = EmbeddingKeys.of(manifest(shop.root)["content"], encoder_file="encoder.onnx", arithmetic="f32")
    box = (1.0, 2.0, 3.0, 4.0)
    assert keys.key(b"photo", box) != keys.key(b"photo" + struct.pack("<4d", *box))
