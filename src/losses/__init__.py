"""Losses that pytorch-metric-learning lacks; those that it has are named in conf/loss."""

from src.losses.cross_batch_memory import CrossBatchMemory
from src.losses.info_nce import InfoNCE
from src.losses.objective import Objective
from src.losses.poincare_distance import PoincareDistance
from src.losses.recall_at_k import RecallAtKSurrogate

__all__ = ["CrossBatchMemory", "InfoNCE", "Objective", "PoincareDistance", "RecallAtKSurrogate"]
