"""Words are found whatever surrounds them, and equal items give equal bytes."""

import random
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest

from src.contracts.errors import BundleError
from src.contracts.tables import validate_items
from src.search import words as module
from src.search.items import Items
from src.search.words import Words, read_tokens, write_words

TITLES = [
    "Crème brûlée bowl",
    'The "Nord" AND sea',
    "t-shirt, NOT new (XL)",
    "Straße über Ölberg",
    "creme cup",
    "naïve na\u0131ve",
    "紅茶 ポット",
    "O'Neill's NEAR*",
    "",
    None,
]


def items_of(titles: list[str | None], **columns: object) -> Items:
    names = [f"{number:06d}" for number in range(len(titles))]
    made = {"image_id": names, "item_id": names, "image": names, "title": pa.array(titles, pa.string()), **columns}
    return Items.of_table(validate_items(pa.table(made)))


def opened(path: Path, items: Items) -> Words:
    write_words(path, items)
    return Words(path)


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Words:
    return opened(tmp_path_factory.mktemp("words") / "words.sqlite", items_of(TITLES))


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("bowl", {0}),
        ("CREME", {0, 4}),
        ("crème BOWL", {0}),
        ("cre\u0300me cup", {4}),
        ("bowl creme", {0}),
        ("cre", {0, 4}),
        # A word that is no last one must be there as a whole.
        ("cre bowl", set()),
        ("cr", set()),
        ("nord and", {1}),
        ('"nord" AND', {1}),
        ("nord OR bowl", set()),
        ('bo"wl', set()),
        ('"bowl', {0}),
        ("not", {2}),
        ("t-shirt", {2}),
        ("shirt-t", set()),
        ("xl", {2}),
        ("(XL)", {2}),
        ("title:bowl", set()),
        ("title : bowl", set()),
        ("near*", {7}),
        ("NEAR(o neill)", set()),
        ("o'neill", {7}),
        ("olberg strasse", set()),
        ("olberg straße", {3}),
        ("紅", {6}),
        ("& -- bowl ^ +", {0}),
        ("bo\0wl", set()),
        ("\ud800 bowl", {0}),
        ("", set()),
        ("  \t ", set()),
        ('" * ( ) :', set()),
    ],
)
def test_words_are_found_by_what_people_type(words: Words, text: str, rows: set[int]) -> None:
    assert set(words.search(text, 10)) == rows


def test_the_better_match_comes_first_and_ties_keep_the_order_of_rows(tmp_path: Path) -> None:
    titles = ["red shoe for the garden and the house", "red red", "blue", "red shoe", "red shoe"] + ["other thing"] * 20
    found = opened(tmp_path / "w", items_of(titles)).search("red", 10)
    assert found == [1, 3, 4, 0]
    assert Words(tmp_path / "w").search("red", 2) == [1, 3]
    assert Words(tmp_path / "w").search("red", 0) == []


def test_every_column_of_words_is_searched_and_no_other(tmp_path: Path) -> None:
    columns = {name: [f"in{name}", None] for name in ("name", "description", "brand", "color", "category", "secret")}
    words = opened(tmp_path / "w", items_of(["title", None], **columns))
    assert words.search("title inname indescription inbrand incolor incategory", 5) == [0]
    assert words.search("insecret", 5) == []


def test_an_item_is_found_once_by_the_words_of_its_first_row(tmp_path: Path) -> None:
    made = {
        "image_id": ["1", "2", "3"],
        "item_id": ["b", "a", "b"],
        "image": [""] * 3,
        "title": ["lamp", "lamp post", "chair"],
    }
    words = opened(tmp_path / "w", Items.of_table(validate_items(pa.table(made))))
    assert words.search("lamp", 5) == [0, 1]
    assert words.search("chair", 5) == []


def test_not_more_than_so_many_are_ranked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_RANKED", 5)
    words = opened(tmp_path / "w", items_of(["red thing"] * 8 + ["red"]))
    assert words.search("red", 3) == [0, 1, 2]
    monkeypatch.setattr(module, "MOST_RANKED", 9)
    assert words.search("red", 3) == [8, 0, 1]


def test_equal_items_give_equal_bytes(tmp_path: Path) -> None:
    draw = random.Random(0)
    # More words than SQLite keeps in memory before it writes a part of the index, which it merges afterwards.
    titles = [" ".join(f"{draw.getrandbits(40):x}" for _ in range(8)) for _ in range(10_000)]
    for name in ("one", "two"):
        write_words(tmp_path / name, items_of(titles))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]
    with closing(sqlite3.connect(tmp_path / "one")) as connection:
        assert connection.execute("PRAGMA freelist_count").fetchone() == (0,)


def test_many_threads_search_at_once(tmp_path: Path) -> None:
    words = opened(tmp_path / "w", items_of([f"number{number}" for number in range(300)]))
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda number: words.search(f"number{number:d} ", 400), range(100, 300)))
    assert found == [[number] for number in range(100, 300)]


def test_a_catalogue_without_items_has_no_words(tmp_path: Path) -> None:
    assert opened(tmp_path / "w", items_of([])).search("anything", 5) == []


@pytest.mark.parametrize("content", [None, b"", b"no database at all", b"SQLite format 3\0" + bytes(200)])
def test_what_is_no_such_file_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "odd ?#%.sqlite"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BundleError, match="not a readable word index"):
        Words(path)


def test_odd_paths_are_opened(tmp_path: Path) -> None:
    assert opened(tmp_path / "odd ?#%ü.sqlite", items_of(["bowl"])).search("bowl", 1) == [0]


OTHERS = ["ÅNGSTRÖM_2 x²; ﬁn", "ΣΟΦΊΑ Ёлка й", "한국어 123"]


@pytest.mark.parametrize("text", [text for text in TITLES if text] + OTHERS)
def test_tokens_are_those_of_fts5(text: str) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE VIRTUAL TABLE words USING fts5(text, tokenize='unicode61 remove_diacritics 2')")
        connection.execute("CREATE VIRTUAL TABLE vocabulary USING fts5vocab(words, instance)")
        connection.execute("INSERT INTO words VALUES (?)", (text,))
        found = connection.execute('SELECT term FROM vocabulary ORDER BY "offset"').fetchall()
    assert read_tokens(text) == [term for (term,) in found]
