"""One list a query, sorted by the words of docs/evaluation.md: slow, plain, without a line of the code under test."""

from dataclasses import dataclass

import numpy as np

from src.eval.embedded import Embedded
from src.eval.protocol import Protocol


@dataclass
class Result:
    score: float
    hit: bool
    grade: int
    images: list[int]
    """Gallery rows that this result may be shown by."""


def results_of(query: int, queries: Embedded, gallery: Embedded, protocol: Protocol) -> list[Result]:
    """All results of a query, best first."""
    hidden = {row for row in range(len(gallery)) if gallery.image_ids[row] == queries.image_ids[query]}
    if protocol.exclude:
        asked, found = column(queries, protocol.exclude)[query], column(gallery, protocol.exclude)
        hidden |= {row for row in range(len(gallery)) if asked is not None and found[row] == asked}
    units: dict[object, list[int]] = {}
    for row in range(len(gallery)):
        units.setdefault(gallery.item_ids[row] if protocol.level == "item" else row, []).append(row)
    results = []
    for everything in units.values():
        rows = [row for row in everything if row not in hidden]
        if rows:
            score, shown = score_of(unit(queries.vectors[query]), gallery, rows, protocol.aggregate)
            hit = gallery.item_ids[rows[0]] == queries.item_ids[query]
            grade = grade_of(query, queries, gallery, everything, protocol)
            results.append(Result(score, hit, grade, shown))
    hits = sorted((result for result in results if result.hit), key=lambda result: -result.score)
    highest = max(1, *protocol.grades.values())
    ordered = sorted((r for r in results if not r.hit), key=lambda r: (r.grade / highest * 1e-6 - r.score, r.grade))
    for hit in reversed(hits):
        ordered.insert(sum(not r.hit and r.score >= hit.score - 1e-6 for r in results), hit)
    return ordered


def score_of(asked: np.ndarray, gallery: Embedded, rows: list[int], aggregate: str) -> tuple[float, list[int]]:
    vectors = [unit(gallery.vectors[row]) for row in rows]
    if aggregate == "mean":
        mean = np.sum(vectors, axis=0)
        norm = np.linalg.norm(mean)
        return float(asked @ mean / norm) if norm > 1e-6 else 0.0, rows
    scores = [float(asked @ vector) for vector in vectors]
    return max(scores), [row for row, score in zip(rows, scores, strict=True) if score >= max(scores) - 1e-6]


def grade_of(query: int, queries: Embedded, gallery: Embedded, rows: list[int], protocol: Protocol) -> int:
    grade = 0
    for name, value in protocol.grades.items():
        asked = column(queries, name)[query]
        known = [found for row in rows if (found := column(gallery, name)[row]) is not None]
        if asked is not None and known and known[0] == asked:
            grade = max(grade, value)
    return grade


def column(part: Embedded, name: str) -> list:
    if name == "item_id":
        return part.item_ids.tolist()
    if part.attributes is None or name not in part.attributes.column_names:
        return [None] * len(part)
    return part.attributes[name].to_pylist()


def unit(vector: np.ndarray) -> np.ndarray:
    exact = vector.astype(np.float64)
    return exact / np.linalg.norm(exact)


def graded_ndcg(grades: list[int], k: int, gain: str) -> float:
    worth = [2**grade - 1 if gain == "exponential" else grade for grade in grades]
    found, best = (
        sum(value / np.log2(place + 2) for place, value in enumerate(values[:k]))
        for values in (worth, sorted(worth, reverse=True))
    )
    return float(found / best) if best else 0.0
