"""Embed all images of a catalogue into one file: python -m benchmarks.embeddings CHECKPOINT OUTPUT.parquet.

The file is what `evaluate.py embeddings=` and `python -m src.index.study` read.
"""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from src.catalog.catalogue import open_catalogue
from src.contracts.atomic_file import atomic_file
from src.contracts.exit_codes import exit_with_message
from src.contracts.settings import DataSettings, complete_data
from src.eval.embedded import embed_rows
from src.eval.evaluated_model import open_evaluated_model


def main() -> None:
    """Read the checkpoint, embed, write."""
    parser = argparse.ArgumentParser(description="Embed all images of a checkpoint's catalogue into one file.")
    parser.add_argument("checkpoint")
    parser.add_argument("output", type=Path)
    parser.add_argument("--data-root", help="the catalogue's folder, where it is not the one trained on")
    parser.add_argument("--without-roles", action="store_true", help="any image may ask and be searched")
    arguments = parser.parse_args()
    with exit_with_message():
        model = open_evaluated_model(arguments.checkpoint)
        overrides = DataSettings(root=arguments.data_root) if arguments.data_root else DataSettings()
        catalogue = open_catalogue(complete_data(overrides, model.trained_on))
        rows = np.arange(catalogue.items.num_rows)
        embedded = embed_rows(catalogue, rows, model.spec, model.embed, batch=128, what="the catalogue")
        vectors = embedded.normalised("catalogue")
        roles = [] if arguments.without_roles else ["is_query", "is_gallery"]
        table = catalogue.items.select(["image_id", "item_id", "category", *roles])
        flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
        with atomic_file(arguments.output) as temporary:
            pq.write_table(table.append_column("vector", flat), temporary)
        print(f"{len(vectors)} embeddings of {vectors.shape[1]} numbers: {arguments.output}")


if __name__ == "__main__":
    main()
