"""A catalogue of the built-in shop's pictures, and a bundle of a network with new weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from src.contracts.bundle import ENCODER, GOLDEN, open_bundle, staged_bundle
from src.contracts.preprocessing import PreprocessingSpec
from src.export.onnx_export import export_onnx
from src.export.runtime import open_graph
from src.export.runtime.golden import write_golden
from src.models.encoder import build_encoder
from src.shop import open_shop

__all__ = ["Materials", "make_materials"]

_IMAGES_A_PARENT = 7
"""Gallery images that a product of the shop has at least; most have more."""


@dataclass(frozen=True)
class Materials:
    """What a run is of.

    Attributes:
        bundle: an encoder without index.
        root: folder of the images.
        manifest: the items table below `root`.
        images: paths below `root`, in the order of the table.
    """

    bundle: Path
    root: Path
    manifest: str
    images: Sequence[str]

    def overrides(self) -> list[str]:
        """The bundle and the catalogue, as the batch's command line takes them."""
        return [
            f"bundle={self.bundle}",
            "data=manifest",
            f"data.root={self.root}",
            f"data.manifest={self.manifest}",
        ]


def make_materials(folder: Path, *, images: int, image_size: int, size: int, backbone: str) -> Materials:
    """Draw the pictures and export the network.

    Args:
        folder: where; pictures that lie there already are kept.
        images: in the gallery.
        image_size: side of the pictures' files, in pixels.
        size: side of the network's input, in pixels.
        backbone: timm's name of the network; its weights are new.
    """
    root = folder / f"shop-{images}-{image_size}"
    parents = max(20, images // _IMAGES_A_PARENT)
    shop = open_shop(root, parents=parents, seed=0, image_size=image_size, sessions=0)
    gallery = shop.filter(pa.compute.equal(shop["domain"], "catalogue"))
    if len(gallery) < images:
        raise SystemExit(f"{parents} products have {len(gallery)} catalogue pictures only, fewer than {images}")
    items = gallery.slice(0, images)
    manifest = f"items-{images}.parquet"
    pq.write_table(items, root / manifest)
    bundle = folder / f"bundle-{backbone}-{size}"
    if not bundle.exists():
        _write_bundle(bundle, PreprocessingSpec(size=size), backbone)
    return Materials(bundle, root, manifest, items["image"].to_pylist())


def _write_bundle(output: Path, spec: PreprocessingSpec, backbone: str) -> None:
    torch.manual_seed(0)
    encoder = build_encoder(spec=spec, backbone=backbone, embedding_dim=128).eval()
    with staged_bundle(output) as draft:
        export_onnx(encoder, spec, draft.root / ENCODER)
        write_golden(draft.root / GOLDEN, spec, open_graph(draft.root / ENCODER).embed_with_norms)
        draft.content |= {
            "preprocessing": spec.to_dict(),
            "encoder_id": backbone,
            "dim": 128,
            "metric": "cosine",
            "precision": "fp32",
            "catalogue": {"name": backbone},
            "config": {"name": backbone},
        }
    open_bundle(output)
