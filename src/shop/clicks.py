"""The interactions log: sessions simulated by the position-based click model.

A result at rank r is clicked with probability examination(r) x relevance(query, item): it is seen with a probability
that depends on the rank alone, and what is seen is clicked with a probability that depends on the item alone
(Richardson, Dominowska, Ragno 2007; Craswell, Zoeter, Taylor, Ramsey 2008). Both are known here, so that estimators of
either can be checked against the truth.
"""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from src.contracts.tables import INTERACTIONS, validate_interactions
from src.shop.products import Product
from src.shop.seeds import Stream, stream

__all__ = [
    "ENGINE_NOISE", "EXAMINATION", "RELEVANCE", "RESULTS", "Market", "act", "grade", "interactions_table", "rank",
]  # fmt: skip

RESULTS = 10
"""Results that a session sees."""

EXAMINATION = tuple(float(1 / rank**0.8) for rank in range(1, RESULTS + 1))
"""Probability that rank 1, 2, ... is looked at."""

RELEVANCE = (0.03, 0.12, 0.5, 0.9)
"""Probability that a result that is looked at is clicked, by grade: another category, the same category, another colour
of the same product, the same item."""

_ENGINE_WORTH = np.array([0.0, 1.4, 2.4, 2.9])
"""What the simulated engine's score is made of, by grade; its noise has standard deviation `ENGINE_NOISE`."""

ENGINE_NOISE = 0.7
_CART = (0.03, 0.06, 0.2, 0.35)
_PURCHASE = 0.45
_DAYS_AFTER = 45
_US_PER_SECOND = 1_000_000
_LOGGED = ["event_at", "session_id", "query_image_id", "item_id", "rank", "event", "variant"]
"""The log knows no users."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def grade(parents: np.ndarray, categories: np.ndarray, query: int) -> np.ndarray:
    """How relevant items are to a query that shows item `query`.

    Args:
        parents: int array of shape (items,), the product of each item.
        categories: int array of shape (items,).
        query: index of the item that the query shows.

    Returns:
        Int array of shape (items,): an index into `RELEVANCE`.
    """
    grades = (categories == categories[query]).astype(np.int64)
    grades[parents == parents[query]] = 2
    grades[query] = 3
    return grades


def interactions_table(products: tuple[Product, ...], items: pa.Table, *, sessions: int, seed: int) -> pa.Table:
    """Simulate the log.

    Each session asks with a customer's photo of an item that is already listed, sees ten listed items ranked by a noisy
    engine that knows the true grades, and clicks by the model; a click may lead to the cart, the cart to a purchase.
    The A/B variant has no effect.

    Args:
        products: the shop's products.
        items: the shop's items table.
        sessions: how many sessions.
        seed: the shop's.

    Returns:
        The interactions table, ordered by time.
    """
    market = Market(products, items)
    rng = stream(seed, Stream.CLICKS)
    first = int(np.sort(market.listed)[min(2 * RESULTS, len(market.ids) - 1)]) + _US_PER_SECOND
    last = max(int(market.listed.max()), first) + _DAYS_AFTER * 86_400 * _US_PER_SECOND
    starts = np.sort(rng.integers(first, last, size=sessions))
    columns: dict[str, list[object]] = {name: [] for name in _LOGGED}
    for number, start in enumerate(starts.tolist()):
        for event in _session(rng, market, number, start):
            for name, value in zip(_LOGGED, event, strict=True):
                columns[name].append(value)
    table = pa.table({name: pa.array(values, type=INTERACTIONS.field(name).type) for name, values in columns.items()})
    # Sessions overlap; a log is written in the order of events. The sort is stable on the row's number.
    order = np.argsort(np.array(columns["event_at"], dtype=np.int64), kind="stable")
    return validate_interactions(table.take(pa.array(order))).select(_LOGGED)


def rank(
    rng: np.random.Generator, market: "Market", query: int, listed: np.ndarray, *, noise: float = ENGINE_NOISE
) -> tuple[np.ndarray, np.ndarray]:
    """The page that the simulated engine shows: the best `RESULTS` items by their grade and noise.

    Args:
        rng: source of randomness.
        market: what is for sale.
        query: index of the item that the query shows.
        listed: indices of the items that are ranked.
        noise: standard deviation of the engine's error; an engine of less noise is better.

    Returns:
        Indices of the items shown, best first, and their grades; int arrays of shape (results,).
    """
    grades = grade(market.parents, market.categories, query)
    scores = _ENGINE_WORTH[grades[listed]] + rng.normal(0, noise, len(listed))
    shown = listed[np.argsort(-scores, kind="stable")[:RESULTS]]
    return shown, grades[shown]


def act(rng: np.random.Generator, grades: np.ndarray, taste: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a user does on a page: clicked, put into the cart, bought; bool arrays of shape (results,).

    Args:
        rng: source of randomness.
        grades: of the results, in their order.
        taste: factor of the user's click probabilities.
    """
    chance = np.array(EXAMINATION[: len(grades)]) * np.array(RELEVANCE)[grades]
    clicked = rng.random(len(grades)) < taste * chance
    carted = clicked & (rng.random(len(grades)) < np.array(_CART)[grades])
    return clicked, carted, carted & (rng.random(len(grades)) < _PURCHASE)


class Market:
    """What is for sale, as arrays; one entry for each item.

    Attributes:
        ids: item ids.
        listed: int64 microseconds since 1970.
        parents: product of each item.
        categories: category of each item, as a number.
        names: category of each item, as a word.
        prices: of each item, in the shop's currency.
        photos: image ids of the customers' photos of each item.
    """

    def __init__(self, products: tuple[Product, ...], items: pa.Table) -> None:
        epoch = timedelta(microseconds=1)
        names = sorted({product.category for product in products})
        self.ids: list[str] = []
        listed, parents, categories = [], [], []
        self.prices: list[float] = []
        for product in products:
            for variant in range(len(product.colourways)):
                self.ids.append(product.item_id(variant))
                self.prices.append(product.price)
                listed.append((product.listed_at - _EPOCH) // epoch)
                parents.append(product.number)
                categories.append(names.index(product.category))
        self.listed = np.array(listed, dtype=np.int64)
        self.names = [names[number] for number in categories]
        self.parents = np.array(parents)
        self.categories = np.array(categories)
        number = {item: k for k, item in enumerate(self.ids)}
        self.photos: list[list[str]] = [[] for _ in self.ids]
        for image, item, query in zip(
            items["image_id"].to_pylist(), items["item_id"].to_pylist(), items["is_query"].to_pylist(), strict=True
        ):
            if query:
                self.photos[number[item]].append(image)


def _session(
    rng: np.random.Generator, market: Market, number: int, start: int
) -> list[tuple[int, str, str, str, int, str, str]]:
    """The events of one session: time in microseconds, session, query image, item, rank, event, variant."""
    listed = np.flatnonzero(market.listed < start)
    query = int(listed[rng.integers(len(listed))])
    photo = market.photos[query][int(rng.integers(len(market.photos[query])))]
    session, variant = f"S{number:07d}", "AB"[int(rng.integers(2))]
    shown, shown_grades = rank(rng, market, query, listed)
    clicked, carted, bought = act(rng, shown_grades)
    pauses = rng.uniform(2, 40, size=(len(shown), 3))
    events = []
    for k, item in enumerate(shown.tolist()):
        events.append((start, session, photo, market.ids[item], k + 1, "impression", variant))
    now = start
    # People work down the list: each event follows the one before it.
    for k, item in enumerate(shown.tolist()):
        for step, (name, happened) in enumerate((("click", clicked), ("cart", carted), ("purchase", bought))):
            if happened[k]:
                now += int(pauses[k, step] * _US_PER_SECOND)
                events.append((now, session, photo, market.ids[item], k + 1, name, variant))
    return events
