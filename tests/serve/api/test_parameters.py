import re

import pytest
from pydantic import ValidationError

from serve.api.parameters import PhotoParameters, SearchParameters, parse
from serve.errors import Problem
from src.contracts.errors import FilterError
from src.index.filters import AnyOf, Between
from src.search.box import Box
from src.search.searcher import Searcher
from tests.search.small_bundle import Shop, picture
from tests.serve.problems import check_problem

SIMILAR = "/v1/items/sku%2F002%20ö/similar"


def refusals(client, fields: dict) -> list[str]:
    """The details of the refusal by form, by query and of another route."""
    photo = {"image": ("p", picture(5))}
    return [
        check_problem(client.post("/v1/search", files=photo, data=fields), 422),
        check_problem(client.post("/v1/search", files=photo, params=fields), 422),
        check_problem(client.get(SIMILAR, params=fields), 422),
    ]


@pytest.mark.parametrize("k", ["0", "101", "-1", "1.5", "ten", "", "1e1", "٣", " 5", "1_0", "0x5", "9" * 20])
def test_k_that_is_no_number_of_its_range_is_422_wherever_it_stands(client, k):
    for told in refusals(client, {"k": k}):
        assert told.startswith(f"k='{k}': ")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"categroy": "shoes"}, "'categroy' is unknown; /openapi.json lists what there is"),
        ({"price_min": "cheap"}, "price_min='cheap': must be a number such as 19.99"),
        ({"price_min": "nan"}, "price_min='nan': must be a number"),
        ({"price_max": "inf"}, "price_max='inf': must be a number"),
        ({"price_max": "1e999"}, "price_max='1e999': "),
        ({"price_min": "9", "price_max": "3"}, "price_min=9 is above price_max=3"),
        ({"in_stock": "maybe"}, "in_stock='maybe': must be true or false"),
        ({"timings": "2"}, "timings='2': must be true or false"),
        ({"offset": "901"}, "offset='901': "),
        ({"offset": "-1"}, "offset='-1': "),
        ({"dedupe": "brand"}, "dedupe='brand': "),
        ({"category": ""}, "category.0='': "),
        ({"category": "x" * 201}, "category.0='xxx"),
        ({"brand": "a\0"}, "must not contain a NUL character"),
        ({"q": "\0"}, "must not contain a NUL character"),
        ({"q": "x" * 201}, "q='xxx"),
        ({"filter": "weight"}, "filter.0='weight': "),
        ({"filter": ":5"}, "filter.0=':5': "),
        ({"filter": "nothing:5"}, "nothing"),
        ({"filter": "image:/etc/passwd#1"}, "filter on `image`: no such column"),
        ({"in_stock": ["true", "false"]}, "'in_stock' is given 2 times"),
        ({"k": ["1", "2"]}, "'k' is given 2 times"),
        ({"x" * 1000: "1"}, "is unknown"),
    ],
)
def test_what_cannot_work_is_422_and_never_ignored(client, fields, words):
    for told in refusals(client, fields):
        assert words in told
        assert len(told) < 300


@pytest.mark.parametrize("price", ["1_000", "-inf", "Infinity", "1,5", "\u0967\u0968", "-1e400", "1 000", "5 EUR", ""])
@pytest.mark.parametrize("name", ["price_min", "price_max", "filter"])
def test_a_price_that_is_spelt_oddly_is_422_wherever_it_stands(client, name, price):
    for told in refusals(client, {name: f"price:{price}" if name == "filter" else price}):
        assert re.search(r"must be a |should be a finite number", told)


def test_all_problems_are_told_at_once(client):
    for told in refusals(client, {"k": "0", "colour": "red", "in_stock": "x"}):
        assert all(word in told for word in ("k='0'", "'colour'", "in_stock='x'"))


def test_parameter_in_form_and_query_is_given_twice(client):
    response = client.post("/v1/search?k=3", files={"image": ("p", picture(5))}, data={"k": "4"})
    assert "'k' is given 2 times" in check_problem(response, 422)


@pytest.mark.parametrize("box", ["10,10,90,90", "0,0,1", "a,b,c,d", "nan,0,1,1", "0,0,0.001,1", "everything", ""])
def test_box_is_four_fractions_of_the_photo(client, box):
    response = client.post("/v1/search", files={"image": ("p", picture(1))}, data={"box": box})
    assert check_problem(response, 422).startswith(f"box='{box}': must ")


def test_box_belongs_to_photos(client):
    assert "'box' is unknown" in check_problem(client.get(SIMILAR, params={"box": "0,0,1,1"}), 422)


@pytest.fixture(scope="module")
def gallery(shop: Shop):
    return Searcher.open(shop.root, threads=1).gallery


def test_query_has_what_the_parameters_say(gallery):
    fields = [
        ("k", "3"), ("offset", "2"), ("dedupe", "parent"), ("category", "shoes"), ("category", "bags"),
        ("brand", "acme"), ("price_min", "+1.5"), ("price_max", "2e2"), ("in_stock", "0"), ("q", "red shoes"),
        ("box", "0,0,0.5,1"), ("timings", "1"),
    ]  # fmt: skip
    query = parse(PhotoParameters, fields).query(gallery)
    assert (query.k, query.offset, query.dedupe, query.words, query.timings) == (3, 2, "parent", "red shoes", True)
    assert query.box == Box(x=0, y=0, width=0.5, height=1)
    assert list(query.filters) == [
        AnyOf("category", frozenset({"shoes", "bags"})),
        AnyOf("brand", frozenset({"acme"})),
        Between("price", 1.5, 200.0),
        AnyOf("in_stock", frozenset({False})),
    ]
    assert parse(PhotoParameters, [("box", "auto")]).query(gallery).box == "auto"
    assert list(parse(SearchParameters, [("price_min", "5")]).query(gallery).filters) == [Between("price", 5.0, None)]
    assert list(parse(SearchParameters, []).query(gallery).filters) == []


def test_filters_of_one_column_are_alternatives_and_of_several_columns_all_hold(gallery):
    fields = [("filter", "brand:acme"), ("filter", "parent_id:product-1"), ("filter", "brand:x:y")]
    assert list(parse(SearchParameters, fields).query(gallery).filters) == [
        AnyOf("brand", frozenset({"acme", "x:y"})),
        AnyOf("parent_id", frozenset({"product-1"})),
    ]
    with pytest.raises(FilterError, match="image"):
        parse(SearchParameters, [("filter", "image:x")]).query(gallery)


def test_parse_takes_lists_for_what_may_repeat_and_no_more(gallery):
    assert parse(SearchParameters, [("brand", ["a", "b"]), ("brand", "c")]).brand == ("a", "b", "c")
    with pytest.raises(Problem, match="'k' is given 2 times"):
        parse(SearchParameters, [("k", 1), ("k", 1)])
    with pytest.raises(ValidationError):
        parse(SearchParameters, [("k", [1])])
    with pytest.raises(ValidationError):
        parse(SearchParameters, [("brand", [["a"]])])
    with pytest.raises(ValidationError):
        parse(SearchParameters, [("brand", ["a"] * 101)])
