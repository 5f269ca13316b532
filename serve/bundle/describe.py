"""What GET /v1/bundle answers."""

from functools import lru_cache
from urllib.parse import quote

import pyarrow as pa

from serve.pipeline.query import MAX_K, MAX_OFFSET, PRIVATE_COLUMNS
from serve.schemas import Bundle, Item, Limits, ValueCount, Values
from serve.settings import ServeSettings
from src.search.changed_gallery import AnyGallery
from src.search.searcher import Searcher

__all__ = ["describe", "image_path"]


@lru_cache(maxsize=16_384)
def image_path(root_path: str, image_id: str) -> str:
    """The URL path of an image's thumbnail."""
    return f"{root_path}/v1/images/{quote(image_id, safe='')}"


def describe(searcher: Searcher, settings: ServeSettings) -> Bundle:
    """Describe a bundle, without the paths of the machine that exported it (`config` in its manifest)."""
    bundle, gallery = searcher.bundle, searcher.gallery
    names = ("encoder_id", "dim", "metric", "preprocessing", "index", "catalogue")
    root = settings.root_path
    return Bundle(
        bundle_id=bundle.bundle_id,
        runtime=searcher.runtime,
        **{name: bundle.content[name] for name in names},
        images=len(gallery),
        items=gallery.items.count,
        filters={name: _values(gallery, name) for name in ("category", "brand", "color")},
        columns={one.name: _kind(one.type) for one in gallery.items.table.schema if one.name not in PRIVATE_COLUMNS},
        price=gallery.price_range(),
        examples=[Item(**row, thumbnail=image_path(root, row["image_id"])) for row in gallery.examples()],
        limits=Limits(
            max_k=MAX_K,
            max_upload_bytes=settings.max_upload,
            max_offset=MAX_OFFSET,
            max_images=settings.most_images,
            max_pixels=settings.max_pixels,
        ),
        measured=bundle.measured,
    )


def _values(gallery: AnyGallery, column: str) -> Values:
    found = gallery.values(column)
    counts = [ValueCount(value=value, images=images) for value, images in found.counts]
    return Values(values=counts, distinct=found.distinct)


def _kind(column: pa.DataType) -> str:
    if pa.types.is_boolean(column):
        return "boolean"
    if pa.types.is_integer(column) or pa.types.is_floating(column):
        return "number"
    return "time" if pa.types.is_temporal(column) else "text"
