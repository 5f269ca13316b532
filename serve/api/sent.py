"""What a body holds, whichever way it is written."""

from typing import NamedTuple

__all__ = ["MAX_FIELDS", "MAX_FIELD_BYTES", "Sent"]

MAX_FIELDS = 100
MAX_FIELD_BYTES = 4096


class Sent(NamedTuple):
    """Names and contents, in the order of the body; not yet judged.

    Attributes:
        files: what was sent as a file, or in base64 under a name of pictures.
        fields: text.
    """

    files: list[tuple[str, bytes]]
    fields: list[tuple[str, str]]
