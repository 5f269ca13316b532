"""Why the service gave no answer."""

import httpx

from src.contracts.errors import LookalikeError

__all__ = ["ServiceError", "ServiceUnreachableError"]


class ServiceUnreachableError(LookalikeError):
    """No connection, or no answer in time; the message says which."""


class ServiceError(LookalikeError):
    """An answer that is a problem (RFC 9457).

    Attributes:
        status: HTTP status.
        kind: what went wrong in a word, such as `corrupt-image`; empty where the status says it all.
        title: the same for people.
        detail: what was wrong with this request, and how to mend it.
        request_id: what the service's log has it under.
    """

    def __init__(self, *, status: int, kind: str, title: str, detail: str, request_id: str) -> None:
        super().__init__(f"{title}: {detail} (status {status}, request {request_id or 'unknown'})")
        self.status = status
        self.kind = kind
        self.title = title
        self.detail = detail
        self.request_id = request_id

    @classmethod
    def of(cls, response: httpx.Response) -> "ServiceError":
        """Read a response that is no success; anything may stand between the service and its client."""
        try:
            problem = response.json()
        except ValueError:
            problem = None
        told = problem if isinstance(problem, dict) else {}
        return cls(
            status=response.status_code,
            kind=str(told.get("type", "")).rpartition("urn:lookalike:problem:")[2].replace("about:blank", ""),
            title=str(told.get("title") or response.reason_phrase or "Unexpected answer"),
            detail=str(told.get("detail") or "the answer says no more"),
            request_id=str(told.get("request_id") or response.headers.get("x-request-id", "")),
        )
