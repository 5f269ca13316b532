"""What a request's head says about its body."""

from starlette.datastructures import Headers
from starlette.types import Scope

__all__ = ["body_length"]


def body_length(scope: Scope) -> int | None:
    """Bytes that a request announces, 0 where it has no body; None where it does not say how many will come."""
    headers = Headers(scope=scope)
    if "transfer-encoding" in headers:
        return None
    announced = headers.get("content-length", "0")
    return int(announced) if announced.isdecimal() else None
