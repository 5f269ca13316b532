"""Checks an answer that is an error."""

import httpx


def check_problem(response: httpx.Response, status: int) -> str:
    """The detail, of a response that keeps RFC 9457."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem.keys() == {"type", "title", "status", "detail", "request_id"}
    assert problem["status"] == status
    assert problem["request_id"] == response.headers["x-request-id"]
    assert problem["title"]
    assert problem["detail"]
    return str(problem["detail"])
