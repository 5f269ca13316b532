"""Problems in the API's description."""

from typing import Any

from serve.schemas import Problem

__all__ = ["problems"]


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer with these statuses."""
    schema = Problem.model_json_schema()
    return {
        status: {"description": "Problem", "content": {"application/problem+json": {"schema": schema}}}
        for status in statuses
    }
