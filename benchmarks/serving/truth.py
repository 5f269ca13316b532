"""What the right answers are: those of the same service when nothing else goes on."""

import json
from collections.abc import Sequence
from typing import Any

from benchmarks.serving.load import Outcome, Target

__all__ = ["Truth"]

_SCORE = 1e-4
"""Cosines: what batches of another size may move a score by. Within it, the order of two items says nothing."""


_FALLBACKS = ("text", "trending")
"""Rungs of an answer's `rung` that have not looked at the photo."""


class Truth:
    """The answers to some photos; request n is photo n modulo their number."""

    def __init__(self, answers: Sequence[Sequence[tuple[str, float]]]) -> None:
        self._answers = answers

    @classmethod
    async def ask(cls, target: Target, photos: int) -> "Truth":
        """Ask for each photo, one at a time."""
        answers = []
        for number in range(photos):
            outcome = await target.ask(number, 0.0)
            if outcome.answer is None or outcome.status != 200:
                raise RuntimeError(f"unloaded, photo {number} is answered {outcome.status} {outcome.failure}")
            answers.append(_found(json.loads(outcome.answer.body)))
        return cls(answers)

    @staticmethod
    def fallback(outcome: Outcome) -> bool:
        """Whether an answer with 200 says that the photo was not looked at."""
        return outcome.status == 200 and outcome.answer is not None and _rung(outcome.answer.body) in _FALLBACKS

    def wrong(self, outcome: Outcome, *, new: str | None = None) -> bool:
        """Whether an answer with 200 is not what it should be, and does not say itself that it is a fallback.

        Args:
            outcome: of request n.
            new: what the ids of items begin with that have come since; they take places, and are not judged.
        """
        if outcome.answer is None or outcome.status != 200:
            return False
        if self.fallback(outcome):
            return False
        found = _found(json.loads(outcome.answer.body))
        expected = self._answers[outcome.number % len(self._answers)]
        if len(found) != len(expected):
            return True
        old = [one for one in found if new is None or not one[0].startswith(new)]
        return not all(map(_same, old, expected, [expected] * len(old)))


def _rung(body: bytes) -> str | None:
    rung: str | None = json.loads(body).get("rung")
    return rung


def _found(body: dict[str, Any]) -> list[tuple[str, float]]:
    return [(result["item_id"], result["score"]) for result in body["results"]]


def _same(found: tuple[str, float], at_rank: tuple[str, float], expected: Sequence[tuple[str, float]]) -> bool:
    if abs(found[1] - at_rank[1]) > _SCORE:
        return False
    # Another item at this rank is right only where the two score alike: it is elsewhere, or just below the last.
    score = dict(expected).get(found[0], expected[-1][1])
    return found[0] == at_rank[0] or abs(score - found[1]) <= _SCORE
