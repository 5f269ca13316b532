"""The bundle that the service's own tests have."""

from tests.serve.conftest import client, shop

__all__ = ["client", "shop"]
