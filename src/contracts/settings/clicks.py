"""Settings of learning from clicks."""

from dataclasses import dataclass

__all__ = ["ClickSettings", "click_problems"]


@dataclass
class ClickSettings:
    """What is learned from an interactions log.

    Attributes:
        weight: of the loss over the log's preferences beside the objective's; 0 leaves the log alone.
        log: the interactions table, a Parquet file; relative to `data.root`.
        pairs: items that are clicked in the same sessions, the file of `python -m src.pipelines.co_clicks`; relative to
            `data.root`. Empty for none.
        temperature: difference of similarity that counts as a clear preference.
        prior_looks: looks of average success that each pair of image and item starts with: one click is no truth.
        clip: largest inverse propensity.
    """

    weight: float = 0.0
    log: str = "interactions.parquet"
    pairs: str = ""
    temperature: float = 0.1
    prior_looks: float = 3.0
    clip: float = 10.0


def click_problems(clicks: ClickSettings) -> list[str]:
    """What cannot work, a line each."""
    problems = []
    if not 0 <= clicks.weight < float("inf"):
        problems.append(f"`clicks.weight={clicks.weight}`: must be finite and not negative")
    if clicks.pairs and clicks.weight == 0:
        problems.append(f"`clicks.pairs={clicks.pairs}`: has no effect with `clicks.weight=0`; set `clicks.weight=0.3`")
    for name in ("temperature", "prior_looks"):
        if not 0 < getattr(clicks, name) < float("inf"):
            problems.append(f"`clicks.{name}={getattr(clicks, name)}`: must be above 0")
    if not clicks.clip >= 1:
        problems.append(f"`clicks.clip={clicks.clip}`: must be at least 1, the inverse propensity of the first rank")
    return problems
