"""What became of one photo of a batch."""

import logging

from fastapi import Request

from serve.errors import Problem, image_problem, problem_content
from serve.schemas import BatchAnswer, Results
from serve.schemas import Problem as ProblemSchema
from src.contracts.preprocessing import ImageError

__all__ = ["batch_answer"]

_log = logging.getLogger("serve")


def batch_answer(found: Results | Exception, request: Request) -> BatchAnswer:
    """An answer, or the problem that the photo would have had as a search of its own."""
    if isinstance(found, Results):
        return BatchAnswer(answer=found, problem=None)
    request_id: str = request.scope["state"]["request_id"]
    if isinstance(found, ImageError):
        problem = image_problem(found)
    elif isinstance(found, Problem):
        problem = found
    else:
        _log.error("request %s: a photo of a batch failed", request_id, exc_info=found)
        problem = Problem(500, detail="an error of ours; the log has it under this request_id")
    return BatchAnswer(answer=None, problem=ProblemSchema(**problem_content(problem, request_id)))
