"""The parameters of a search, in the query string or in the body. Unknown ones are refused."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Annotated, Any, Literal, TypeVar

from fastapi import Request
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from serve.errors import Problem
from serve.pipeline.query import DEFAULT_K, MAX_K, MAX_OFFSET, PRIVATE_COLUMNS, Query
from src.contracts.errors import FilterError
from src.index.filters import AnyOf, Between, Condition
from src.search.box import Box
from src.search.changed_gallery import AnyGallery

__all__ = [
    "Boolean",
    "PhotoParameters",
    "Price",
    "SearchParameters",
    "WordParameters",
    "check_repeats",
    "parse",
    "repeats_checked",
]

P = TypeVar("P", bound="SearchParameters")

_SEVERAL = frozenset({"category", "brand", "color", "filter"})
"""Parameters that may repeat."""
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")


def _plain_number(value: Any) -> Any:
    """Python also reads `1_000`, `inf` and Arabic digits as numbers."""
    if isinstance(value, bool) or (isinstance(value, str) and not _NUMBER.fullmatch(value)):
        raise ValueError("must be a number such as 19.99")
    return value


def _plain_boolean(value: Any) -> Any:
    if str(value).lower() not in ("true", "false", "1", "0"):
        raise ValueError("must be true or false")
    return value


def _without_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("must not contain a NUL character")
    return value


def _box(value: Any) -> str:
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    if text != "auto":
        Box.parse(text)
    return text


_Text = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_without_nul)]
_Texts = tuple[_Text, ...]
Integer = Annotated[int, BeforeValidator(_plain_number)]
Price = Annotated[float, BeforeValidator(_plain_number), Field(allow_inf_nan=False)]
Boolean = Annotated[bool, BeforeValidator(_plain_boolean)]
_Filter = Annotated[str, StringConstraints(pattern=r"^[^:]+:", max_length=400), AfterValidator(_without_nul)]


class SearchParameters(BaseModel):
    """What each search takes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    k: Integer = Field(default=DEFAULT_K, ge=1, le=MAX_K, description="Results wanted.")
    offset: Integer = Field(default=0, ge=0, le=MAX_OFFSET, description="Results to skip: those of the pages before.")
    dedupe: Literal["item", "parent"] = Field(
        default="item", description="One result for each item, or for each parent (product)."
    )
    category: _Texts = Field(default=(), max_length=100, description="Only items of any of these categories.")
    brand: _Texts = Field(default=(), max_length=100, description="Only items of any of these brands.")
    color: _Texts = Field(default=(), max_length=100, description="Only items of any of these colors.")
    price_min: Price | None = Field(default=None, description="Lowest price, included.")
    price_max: Price | None = Field(default=None, description="Highest price, included.")
    in_stock: Boolean | None = Field(default=None, description="Only items that are, or are not, in stock.")
    filter: tuple[_Filter, ...] = Field(
        default=(),
        max_length=100,
        description="`COLUMN:VALUE`, or `COLUMN:LOW..HIGH` for numbers and times, with either end open. Values of one "
        "column are alternatives, different columns must all be met.",
        examples=[["material:leather", "weight:..2.5"]],
    )
    q: Annotated[str, AfterValidator(_without_nul)] = Field(
        default="", max_length=200, description="Words, for the case that images cannot be compared at the moment."
    )
    read_after: Integer | None = Field(
        default=None, ge=1, description="`version` of a change of an item that the answer must show."
    )
    timings: Boolean = Field(default=False, description="Add the time of each stage to the answer.")

    @model_validator(mode="after")
    def _prices_in_order(self) -> "SearchParameters":
        if self.price_min is not None and self.price_max is not None and self.price_min > self.price_max:
            raise ValueError(f"price_min={self.price_min:g} is above price_max={self.price_max:g}; swap them")
        return self

    def query(self, gallery: AnyGallery) -> Query:
        """The query that they ask for; raises `FilterError` for a `filter` that the gallery's columns do not have."""
        box = getattr(self, "box", None)
        return Query(
            k=self.k,
            offset=self.offset,
            dedupe=self.dedupe,
            filters=self._conditions(gallery),
            words=self.q,
            timings=self.timings,
            read_after=self.read_after,
            box=Box.parse(box) if box not in (None, "auto") else box,
        )

    def _conditions(self, gallery: AnyGallery) -> list[Condition]:
        conditions: list[Condition] = [
            AnyOf(name, frozenset(values)) for name in ("category", "brand", "color") if (values := getattr(self, name))
        ]
        if self.price_min is not None or self.price_max is not None:
            conditions.append(Between("price", self.price_min, self.price_max))
        if self.in_stock is not None:
            conditions.append(AnyOf("in_stock", frozenset({self.in_stock})))
        further: dict[str, list[str]] = {}
        for text in self.filter:
            column, _, value = text.partition(":")
            if column in PRIVATE_COLUMNS:
                raise FilterError(f"filter on `{column}`: no such column")
            further.setdefault(column, []).append(value)
        return conditions + [gallery.condition(column, values) for column, values in further.items()]


class WordParameters(SearchParameters):
    """What a search by words takes."""

    q: Annotated[str, AfterValidator(_without_nul)] = Field(
        pattern=r"\S", max_length=200, description="Words to search for."
    )


class PhotoParameters(SearchParameters):
    """What a search by photo takes."""

    box: Annotated[str, BeforeValidator(_box)] | None = Field(
        default=None,
        description="The part of the photo that is searched for: x,y,width,height in fractions of the upright picture, "
        "from its upper left corner; or `auto`, the object that the detector finds.",
        examples=["0.25,0.1,0.5,0.8"],
    )


def parse(model: type[P], fields: Sequence[tuple[str, Any]]) -> P:
    """Read names and values, of which some may repeat.

    Raises:
        Problem: 422, a parameter that takes one value is given twice.
        ValidationError: an unknown name, or a value outside its range.
    """
    check_repeats(name for name, _ in fields)
    values: dict[str, Any] = {}
    for name, value in fields:
        if name in _SEVERAL:
            values[name] = values.get(name, []) + (value if isinstance(value, list) else [value])
        else:
            values[name] = value
    return model.model_validate(values)


def check_repeats(names: Iterable[str], *, several: Collection[str] = _SEVERAL) -> None:
    """Raise `Problem` 422 where a name is given more than once, unless it is one of `several`."""
    for name, times in Counter(name for name in names if name not in several).items():
        if times > 1:
            detail = f"{name[:60]!r} is given {times} times; give it once"
            raise Problem(422, kind="invalid-parameters", detail=detail)


def repeats_checked(request: Request) -> None:
    """The dependency of routes whose parameters FastAPI reads: of a repeated one it would take the last value."""
    check_repeats(name for name, _ in request.query_params.multi_items())
