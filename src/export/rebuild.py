"""A bundle with a new gallery: the encoder of an earlier one, and embeddings that are stored already. No torch."""

import shutil
from pathlib import Path

from src.contracts.bundle import ENCODER, GOLDEN, NEIGHBOURS, Bundle, open_bundle, staged_bundle
from src.contracts.errors import LookalikeError
from src.contracts.settings import IndexSettings
from src.export.gallery import Gallery, publish_gallery, write_gallery
from src.export.runtime import EncoderRuntime
from src.export.versions import versions

__all__ = ["copy_encoder", "rebuild_bundle"]

_KEPT = (
    *("preprocessing", "encoder_id", "dim", "metric", "precision", "index_precision", "opset", "outputs", "gates"),
    "config",
)
_MEASURED = ("parity", "engines", "evaluation")


def rebuild_bundle(
    output: Path,
    *,
    encoder: Bundle,
    gallery: Gallery,
    runtime: EncoderRuntime,
    index: IndexSettings,
    thumbnail: int,
    batch: int,
) -> Bundle:
    """Write a bundle; an older one at its place is exchanged for it in one step.

    Args:
        output: its folder; may be that of `encoder`.
        encoder: whose encoder serves; it made the gallery's vectors.
        gallery: what becomes searchable.
        runtime: that encoder, opened.
        index: the vector index.
        thumbnail: longer side of the pictures, in pixels.
        batch: images embedded at once.

    Raises:
        GateError: the index misses a limit; nothing is written then.
        LookalikeError: an empty gallery, or an output folder that is no bundle.
    """
    if not len(gallery.rows):
        raise LookalikeError("no image of the catalogue has an embedding: there is nothing to search in")
    with staged_bundle(output) as draft:
        # What a precision below float32 is judged by needs float32, which is not here: the images of before still do.
        full = encoder.content.get("precision", "fp32") == "fp32"
        kept = [ENCODER, GOLDEN, *([] if full else [NEIGHBOURS])]
        kept += [name for name in encoder.content["files"] if name.endswith(".plan")]
        for name in kept:
            if name in encoder.content["files"]:
                shutil.copyfile(encoder.path(name), draft.root / name)
        encoder.check_in_place()
        draft.content |= {name: encoder.content[name] for name in _KEPT if name in encoder.content}
        draft.content["catalogue"] = {"name": encoder.content.get("catalogue", {}).get("name", "catalogue")}
        if "precision" in draft.content:
            draft.content["index_precision"] = draft.content["precision"]
        draft.measured |= {name: encoder.measured[name] for name in _MEASURED if name in encoder.measured}
        draft.measured["versions"] = versions()
        release = write_gallery(
            draft,
            gallery,
            spec=encoder.preprocessing,
            runtime=runtime,
            reference=None,
            neighbours=full,
            index=index,
            thumbnail=thumbnail,
            batch=batch,
        )
    bundle = open_bundle(output)
    publish_gallery(release, index, bundle)
    return bundle


def copy_encoder(bundle: Bundle, output: Path) -> Bundle:
    """Write a bundle of the encoder alone, without index and items: what workers that only embed need.

    Args:
        bundle: whose encoder.
        output: its folder.
    """
    with staged_bundle(output) as draft:
        names = [name for name in bundle.content["files"] if name in (ENCODER, GOLDEN) or name.endswith(".plan")]
        for name in names:
            shutil.copyfile(bundle.path(name), draft.root / name)
        bundle.check_in_place()
        draft.content |= {name: bundle.content[name] for name in _KEPT if name in bundle.content}
        draft.measured |= {name: bundle.measured[name] for name in _MEASURED if name in bundle.measured}
    return open_bundle(output)
