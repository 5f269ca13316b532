"""Writes and the admin API need a bearer token (RFC 6750); searches are open."""

import hmac
from collections.abc import Callable

from fastapi import Request
from pydantic import SecretStr

from serve.errors import Problem
from serve.metrics import Metrics

__all__ = ["token_required"]


def token_required(token: SecretStr | None, metrics: Metrics) -> Callable[[Request], None]:
    """The dependency of routes that need the token: `Problem` 403 where the service has none, 401 without the same."""
    expected = None if token is None else token.get_secret_value().encode()

    def check(request: Request) -> None:
        if expected is None:
            metrics.refused.labels("off").inc()
            detail = "this service changes nothing; start it with LOOKALIKE_TOKEN set"
            raise Problem(403, kind="writes-off", detail=detail)
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), expected):
            metrics.refused.labels("wrong-token" if given else "no-token").inc()
            detail = "send the service's LOOKALIKE_TOKEN in the header `Authorization: Bearer TOKEN`"
            raise Problem(401, kind="token-required", detail=detail, headers={"WWW-Authenticate": "Bearer"})

    return check
