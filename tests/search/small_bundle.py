"""A small real bundle: generated pictures, an ONNX graph that embeds a coarse colour grid, an exact index."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from src.contracts.bundle import (
    ENCODER,
    GOLDEN,
    INDEX,
    ITEMS_ARROW,
    ITEMS_TABLE,
    THUMBNAILS,
    TRENDING,
    WORDS,
    open_bundle,
    staged_bundle,
)
from src.contracts.preprocessing import PreprocessingSpec, preprocess
from src.contracts.tables import ITEMS, validate_items
from src.export.runtime import OnnxEncoder
from src.export.runtime.golden import write_golden
from src.index.faiss_index import FaissIndex
from src.search.items import Items
from src.search.items_file import write_items
from src.search.words import write_words

SPEC = PreprocessingSpec(size=32)
GRID = 4
DIM = 3 * GRID * GRID
CATEGORIES = ("shoes", "bags", "dresses", "Möbel & more", None)
BRANDS = ("acme", "<b onclick='x'>Nord", "Ölmühle", None)
COLORS = ("red", "green", "blue", None)
TITLES = ("Crème brûlée bowl", 'The "Nord" AND sea', "t-shirt, NOT new", "Straße über Ölberg")


@dataclass(frozen=True)
class Shop:
    """A written bundle and what went into it."""

    root: Path
    table: pa.Table
    pictures: list[bytes]
    vectors: np.ndarray

    def rows(self) -> list[dict]:
        return self.table.to_pylist()


def jpeg(pixels: np.ndarray, *, quality: int = 90, form: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, quality=quality)
    return buffer.getvalue()


def picture(seed: int, *, size: int = 96) -> bytes:
    """Coloured blocks; pictures of other seeds look other."""
    blocks = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return jpeg(np.asarray(Image.fromarray(blocks).resize((size, size), Image.Resampling.BICUBIC)))


def write_encoder(path: Path, *, spec: PreprocessingSpec = SPEC, norms: bool = False) -> None:
    """uint8 NHWC -> a grid of mean colours -> minus its mean -> L2-normalised; without `norms` as before 2026-12."""
    side = spec.size // GRID
    nodes = [
        helper.make_node("Cast", ["pixels"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["nchw"], ["grid"], kernel_shape=[side, side], strides=[side, side]),
        helper.make_node("Flatten", ["grid"], ["flat"]),
        helper.make_node("ReduceMean", ["flat", "axis"], ["mean"], keepdims=1),
        helper.make_node("Sub", ["flat", "mean"], ["centred"]),
        helper.make_node("ReduceL2", ["centred", "axis"], ["length"], keepdims=1),
        helper.make_node("Max", ["length", "tiny"], ["divisor"]),
        helper.make_node("Div", ["centred", "divisor"], ["embedding"]),
    ]
    outputs = [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", DIM])]
    if norms:
        nodes.append(helper.make_node("Squeeze", ["length", "axis"], ["norm"]))
        outputs.append(helper.make_tensor_value_info("norm", TensorProto.FLOAT, ["batch"]))
    graph = helper.make_graph(
        nodes,
        "colour_grid",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["batch", spec.size, spec.size, 3])],
        outputs,
        [
            numpy_helper.from_array(np.array([1], np.int64), "axis"),
            numpy_helper.from_array(np.array([1e-6], np.float32), "tiny"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def catalogue(items: int, *, seed: int = 7) -> list[dict]:
    """Rows of a shop whose ids have slashes, spaces and umlauts, and whose attributes may be null."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(items):
        price = None if number % 11 == 0 else float(np.round(5 + 200 * rng.random(), 2))
        price = float("nan") if number % 13 == 5 else price
        # Images of one item are not side by side: every third image comes from further on.
        for view in range(1 + number % 3):
            rows.append(
                {
                    "image_id": f"img/{number:03d} ü{view}.jpg",
                    "item_id": f"sku/{number:03d} ö",
                    "parent_id": f"product-{number // 2}",
                    "image": f"/etc/passwd#{number}",
                    "domain": "catalogue",
                    "category": CATEGORIES[number % len(CATEGORIES)],
                    "brand": BRANDS[number % len(BRANDS)],
                    "color": COLORS[(number // 2) % len(COLORS)],
                    "price": price,
                    "in_stock": (True, False, None, True)[number % 4],
                    "listed_at": datetime(2026, 1, 1, tzinfo=UTC),
                    "title": f"{TITLES[number % len(TITLES)]} number{number}",
                    "stars": None if number % 7 == 0 else number % 6,
                    "made_on": date(2020, 1, 1 + number % 28),
                }
            )
    order = rng.permutation(len(rows))
    return [rows[place] for place in order]


def trending(rows: list[dict]) -> dict[str, list[dict]]:
    """The third item of each category sold most, then the second, then the first."""
    by_category: dict[str, list[str]] = {}
    for row in rows:
        if row["category"] is not None:
            by_category.setdefault(row["category"], []).append(row["item_id"])
    best = {name: sorted(set(ids))[:3][::-1] for name, ids in by_category.items()}
    return {
        name: [{"item_id": item, "score": 30 - 10 * place} for place, item in enumerate(ids)]
        for name, ids in best.items()
    }


def write_bundle(
    root: Path, rows: list[dict], *, layout: str = "exact", further: Callable[[Path], None] = lambda folder: None
) -> Shop:
    """Write a bundle as the exporter does; `further` adds files to its folder."""
    further_columns = [("title", pa.string()), ("stars", pa.int16()), ("made_on", pa.date32())]
    schema = pa.schema([*ITEMS, *(pa.field(*column) for column in further_columns)])
    table = validate_items(pa.Table.from_pylist(rows, schema=schema))
    pictures = [picture(1000 * int(row["item_id"][4:7]) + ord(row["image_id"][-5])) for row in rows]
    with staged_bundle(root) as draft:
        write_encoder(draft.root / ENCODER)
        encoder = OnnxEncoder(draft.root / ENCODER, threads=1)
        write_golden(draft.root / GOLDEN, SPEC, encoder.embed_with_norms)
        pixels = np.array([preprocess(data, SPEC) for data in pictures], np.uint8).reshape(-1, 32, 32, 3)
        vectors = encoder.embed(pixels) if rows else np.empty((0, DIM), np.float32)
        index = FaissIndex.build(vectors, layout=layout)
        index.save(draft.root / INDEX)
        pq.write_table(table, draft.root / ITEMS_TABLE)
        write_items(draft.root / ITEMS_ARROW, table)
        write_words(draft.root / WORDS, Items.open(draft.root / ITEMS_ARROW))
        (draft.root / TRENDING).write_text(json.dumps({"categories": trending(rows)}))
        ids = table["image_id"].cast(pa.large_string())
        thumbnails = pa.table({"image_id": ids, "jpeg": pa.array(pictures, pa.binary())})
        with ipc.new_file(draft.root / THUMBNAILS, thumbnails.schema) as writer:
            writer.write_table(thumbnails, max_chunksize=16)
        further(draft.root)
        draft.content |= {
            "preprocessing": SPEC.to_dict(),
            "encoder_id": "colour-grid",
            "dim": DIM,
            "metric": "cosine",
            "index": {"layout": layout, "search": index.effort, "vectors": len(rows)},
            "catalogue": {"name": "generated", "rows": len(rows)},
            "config": {"data": {"root": "/somewhere/secret"}},
        }
        draft.measured |= {
            "parity": {"max_abs": 1e-7},
            "index": {"recall_at_10": 1.0},
            "evaluation": {"recall@1": 0.5},
            "versions": {"faiss": "1"},
        }
    return Shop(root=root, table=table, pictures=pictures, vectors=vectors)


def altered(root: Path, output: Path, name: str, data: bytes | None = None, **content: object) -> Path:
    """A bundle whose seal and hashes are right and whose parts do not belong together."""
    bundle = open_bundle(root)
    with staged_bundle(output) as draft:
        for file in bundle.content["files"]:
            (draft.root / file).write_bytes(bundle.path(file).read_bytes())
        if data is not None:
            (draft.root / name).write_bytes(data)
        draft.content |= {**{k: v for k, v in bundle.content.items() if k != "files"}, **content}
        draft.measured |= bundle.measured
    return output


def damage(root: Path, name: str) -> None:
    """Turn one byte of a file around."""
    path = root / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def manifest(root: Path) -> dict:
    return json.loads((root / "manifest.json").read_text())
