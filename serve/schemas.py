"""The models of answers, as OpenAPI describes them."""

from typing import Any, Literal

from pydantic import BaseModel, Field

__all__ = [
    "BatchAnswer",
    "BatchResults",
    "Bundle",
    "Item",
    "Limits",
    "Problem",
    "RegionFound",
    "Regions",
    "Result",
    "Results",
    "Rung",
    "Status",
    "ValueCount",
    "Values",
]

Rung = Literal["search", "cache", "text", "trending"]
"""What answered a search; see `Results.rung`."""


class Item(BaseModel):
    """An item and one of its images."""

    item_id: str = Field(description="The SKU.")
    image_id: str = Field(description="The image that is shown; in a result, the one that is nearest to the query.")
    parent_id: str | None = Field(description="The product that the item is a variant of.")
    category: str | None
    brand: str | None
    color: str | None
    price: float | None = Field(description="In the catalogue's currency.")
    in_stock: bool | None
    thumbnail: str = Field(description="Path of the image's thumbnail (JPEG).")


class Result(Item):
    """An item that was found."""

    score: float | None = Field(
        description="Cosine similarity of its nearest image to the query, -1 to 1; null where no images were compared."
    )
    rank: int = Field(description="Counts from 1.")


class Results(BaseModel):
    """The answer to a search."""

    results: list[Result] = Field(description="Best first; fewer than k where fewer items pass the filters.")
    rung: Rung = Field(
        default="search",
        description="What answered: images that were compared (`search`; `cache` where only an embedding kept from "
        "before made that possible), or, where that failed, words and filters (`text`) or what sells (`trending`).",
    )
    fresh: bool = Field(
        default=False,
        description="Whether price and stock of all results were read for this answer; else some are the bundle's.",
    )
    bundle_id: str = Field(description="The bundle that answered.")
    k: int = Field(description="Results that were asked for.")
    offset: int = Field(default=0, description="Results that were passed over.")
    box: tuple[float, float, float, float] | None = Field(
        default=None,
        description="The part of the photo that was searched for, x, y, width and height in fractions of it; null "
        "where the request names none.",
    )
    timings_ms: dict[str, float] | None = Field(
        default=None,
        description="With `timings=true`: milliseconds of work per stage; `wait`, the time between them; `total`, from "
        "the whole request to the answer.",
    )


class BatchAnswer(BaseModel):
    """What became of one photo: one of the two is null."""

    answer: Results | None
    problem: "Problem | None"


class BatchResults(BaseModel):
    """The answer to a batch search."""

    answers: list[BatchAnswer] = Field(description="One for each photo, in their order.")


class RegionFound(BaseModel):
    """Where an object may be."""

    box: tuple[float, float, float, float] = Field(description="As in a search: x, y, width and height.")
    score: float = Field(description="0 to 1, higher where it is more likely an object.")


class Regions(BaseModel):
    """The objects of a photo."""

    regions: list[RegionFound] = Field(description="Best first; none where the whole photo is the better query.")


class ValueCount(BaseModel):
    """A filter value and the number of images that have it."""

    value: str
    images: int


class Values(BaseModel):
    """The values of one filter, most frequent first."""

    values: list[ValueCount]
    distinct: int = Field(description="All there are; `values` is cut at 200.")


class Limits(BaseModel):
    """What a request may be."""

    max_k: int
    max_upload_bytes: int
    max_offset: int
    max_images: int
    max_pixels: int


class Bundle(BaseModel):
    """What is served."""

    bundle_id: str
    encoder_id: str
    runtime: str = Field(description="What runs the encoder, on what and in which arithmetic.")
    dim: int = Field(description="Numbers in an embedding.")
    metric: str
    preprocessing: dict[str, Any]
    index: dict[str, Any]
    catalogue: dict[str, Any]
    images: int = Field(description="Gallery images in the index.")
    items: int = Field(description="Items that they belong to.")
    filters: dict[str, Values] = Field(description="`category`, `brand` and `color`.")
    columns: dict[str, str] = Field(description="The columns that `filter` may name, and what they hold.")
    price: tuple[float, float] | None = Field(description="Lowest and highest price; null where no item has one.")
    examples: list[Item] = Field(description="A few items from all over the catalogue, to start from.")
    limits: Limits
    measured: dict[str, Any] = Field(description="What the export measured: parity, index, evaluation, versions.")


class Changed(BaseModel):
    """A change that is on the disk and that every search sees."""

    item_id: str
    image_ids: list[str] = Field(description="Of the images that were added; they follow from item and content.")
    bundle_id: str = Field(description="The bundle that it was made in; later bundles get it as well.")


class RolledOut(BaseModel):
    """A rollout that was taken."""

    bundle_id: str = Field(description="What answers now.")
    previous: str = Field(description="What answered before; the same where nothing was to be done.")
    checks: str = Field(description="What was found before it was taken.")
    load_seconds: float = Field(description="From the call until it answered.")
    drain_seconds: float = Field(description="From then until the old one was closed.")


class RolloutState(BaseModel):
    """Which bundle answers, and how it came to."""

    bundle_id: str
    name: str = Field(description="Of its folder.")
    previous: str | None = Field(description="The bundle that a rollback serves.")
    running: bool = Field(description="Whether a rollout is under way.")
    problem: str = Field(description="Why the last rollout failed; empty where it did not.")
    bundles: list[str] = Field(description="Names that POST /v1/admin/bundle takes.")
    last_change: int | None = Field(
        description="Number of the last change of items; null without --state. Read it before the catalogue of a new "
        "bundle is read, and give it as `changes_after`."
    )


class Status(BaseModel):
    """A probe's answer."""

    status: str


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
