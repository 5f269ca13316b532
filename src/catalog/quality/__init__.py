"""Whether pictures are fit for search: measures, limits, findings, their summary and report."""

from src.catalog.quality.judge import Finding, judge, judge_pixels, reason_of
from src.catalog.quality.limits import QualityLimits
from src.catalog.quality.reasons import EXPLANATIONS, Reason

__all__ = ["EXPLANATIONS", "Finding", "QualityLimits", "Reason", "judge", "judge_pixels", "reason_of"]
