"""A real Milvus server."""

from tests.milvus_server import milvus_uri  # noqa: F401
