"""The gate of a run: each row of the catalogue is searchable, in quarantine, or dropped by a rule; no row is lost."""

from collections.abc import Mapping

from src.contracts.errors import GateError

__all__ = ["check_counts"]


def check_counts(counts: Mapping[str, int], *, rows: int, max_quarantined: float) -> None:
    """Hold what the tables say against the catalogue.

    Args:
        counts: as `State.count` gives them.
        rows: of the catalogue.
        max_quarantined: largest share of the rows that are not dropped by a rule.

    Raises:
        GateError: rows are lost or counted twice, or too many are in quarantine.
    """
    out = counts.get("out", 0)
    quarantined = {name.partition(":")[2]: count for name, count in counts.items() if name.startswith("quarantined:")}
    dropped = sum(count for name, count in counts.items() if name.startswith("dropped:"))
    bad = sum(quarantined.values())
    if out + bad + dropped != rows:
        raise GateError(
            f"the catalogue has {rows} rows, the tables {out} that are searchable, {bad} in quarantine and {dropped} "
            f"that a rule drops, together {out + bad + dropped}: {rows - out - bad - dropped} are missing; start the "
            "run again, which goes on where this one ended"
        )
    share = bad / max(1, rows - dropped)
    if share > max_quarantined:
        reasons = ", ".join(
            f"{reason} {count}" for reason, count in sorted(quarantined.items(), key=lambda one: -one[1])
        )
        raise GateError(
            f"{bad} of {rows - dropped} rows ({share:.1%}) are in quarantine ({reasons}), the limit is "
            f"`max_quarantined={max_quarantined:g}`; look at the summary, then mend the images, change "
            "`quality.LIMIT=...`, or raise the limit"
        )
