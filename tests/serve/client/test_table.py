from serve.client.table import as_table
from serve.schemas import Result, Results


def results(**changed: object) -> Results:
    one = {"item_id": "a", "image_id": "i", "parent_id": None, "category": None, "brand": None, "color": None,
           "price": None, "in_stock": None, "thumbnail": "/t", "score": 0.5, "rank": 1}  # fmt: skip
    return Results(results=[Result(**{**one, **changed})], bundle_id="b", k=1, timings_ms={})


def test_columns_that_nothing_stands_in_are_left_out():
    assert as_table(results()).splitlines() == ["rank  score  item", "   1  0.500  a"]


def test_nothing_that_a_terminal_obeys_is_printed():
    table = as_table(results(item_id="\x1b[31mred\n\r\x07", brand="\u202eright"))
    assert not {"\x1b", "\r", "\x07", "\u202e"} & set(table)
    assert len(table.splitlines()) == 2


def test_wide_letters_are_counted_as_wide():
    head, line = as_table(results(item_id="鞋子", color="red")).splitlines()
    assert head.index("color") == line.index("red") + 2
