"""What the tests of the index share."""

from tests.milvus_server import milvus_uri  # noqa: F401
