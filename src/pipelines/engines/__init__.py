"""What runs the stages: this process, a pool of processes, or Spark."""

from src.pipelines.engines.protocol import Engine, WorkerDiedError, make_engine

__all__ = ["Engine", "WorkerDiedError", "make_engine"]
