"""The models of answers, as OpenAPI describes them. A module of models alone: all of them are public."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field

from src.search.confidence import Estimate

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

    score: Annotated[float, AfterValidator(lambda score: round(score, 6))] | None = Field(
        description="Cosine of its nearest image to the query; null without a comparison."
    )
    rank: int = Field(description="Counts from 1.")


class Results(BaseModel):
    """The answer to a search."""

    results: list[Result] = Field(description="Best first; fewer than k where fewer items pass the filters.")
    rung: Rung = Field(
        description="What answered: compared images (`search`; `cache` with a cached embedding while the encoder "
        "fails), or, where that failed, words and filters (`text`) or what sells (`trending`)."
    )
    fresh: bool = Field(description="Whether price and stock of all results are those of now; else some are older.")
    bundle_id: str = Field(description="The bundle that answered.")
    k: int = Field(description="Results that were asked for.")
    offset: int = Field(description="Results that were skipped.")
    box: tuple[float, float, float, float] | None = Field(
        description="The part of the photo that was searched for: x, y, width, height in fractions of it; null for all."
    )
    confidence: Estimate | None = Field(
        default=None,
        description="How far the first result can be trusted; where a whole photo was compared with all items from the "
        "first on, and the bundle's catalogue has photos for validation.",
    )
    timings_ms: dict[str, float] | None = Field(
        description="With `timings=true`: work of each stage, `wait` between them, and the `total`, in milliseconds."
    )


class BatchAnswer(BaseModel):
    """The outcome of one photo; one of the two is null."""

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
    """The limits of a request."""

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
    dim: int = Field(description="Dimension of an embedding.")
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
    """A change that is durable, and that every search sees where it is `visible`."""

    item_id: str
    image_ids: list[str] = Field(description="Of the images that were added; they follow from item and content.")
    bundle_id: str = Field(description="The bundle that answers; later bundles get the change as well.")
    version: int = Field(description="The greatest one of an item wins. A search with `read_after` of it shows it.")
    visible: bool = Field(description="False where Milvus is away: searches show the change when it is back.")


class Version(BaseModel):
    """A version that a change may be sent with, any number of times."""

    version: int


class RolledOut(BaseModel):
    """An exchange of the bundle."""

    bundle_id: str = Field(description="The bundle that answers now.")
    previous: str = Field(description="The bundle before; the same where it was served already.")
    checks: str = Field(description="What was checked before the exchange.")
    load_seconds: float = Field(description="From the call until it answered.")
    drain_seconds: float = Field(description="From then until the old one was closed.")


class RolloutState(BaseModel):
    """The bundle that answers, and the last exchange."""

    bundle_id: str
    name: str = Field(description="Of its folder.")
    previous: str | None = Field(description="The bundle that a rollback serves.")
    running: bool = Field(description="Whether an exchange is under way.")
    problem: str = Field(description="Why the last exchange failed; empty where it did not.")
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
