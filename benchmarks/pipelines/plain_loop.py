"""The plain loop beside the engines: open, preprocess, embed, append to a Parquet file; all cores embed."""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from src.contracts.bundle import open_bundle
from src.contracts.preprocessing import preprocess
from src.contracts.tables import pack_vectors
from src.export.runtime import open_encoder

_BATCH = 32


def main() -> None:
    """Take bundle, root, manifest and output from the command line."""
    folder, root, manifest, output = map(Path, sys.argv[1:5])
    bundle = open_bundle(folder)
    encoder, spec = open_encoder(bundle), bundle.preprocessing
    items = pq.read_table(root / manifest, columns=["image_id", "image"])
    width = pa.binary(2 * int(bundle.content["dim"]))
    schema = pa.schema([pa.field("image_id", pa.string()), pa.field("vector", width)])
    with pq.ParquetWriter(output, schema) as writer:
        for start in range(0, len(items), _BATCH):
            part = items.slice(start, _BATCH)
            pixels = np.stack([preprocess((root / image).read_bytes(), spec) for image in part["image"].to_pylist()])
            vectors = pack_vectors(encoder.embed(pixels))
            writer.write_table(pa.table([part["image_id"], vectors], schema=schema))
    print(f"{len(items)} embedded")


if __name__ == "__main__":
    main()
