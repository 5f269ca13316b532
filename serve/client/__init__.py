"""A typed client of the service; it loads none of the service's own parts but the answers' schemas."""

from serve.client.client import Client
from serve.client.errors import ServiceError, ServiceUnreachableError

__all__ = ["Client", "ServiceError", "ServiceUnreachableError"]
