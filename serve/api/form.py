"""A body of multipart/form-data."""

from typing import Any

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from serve.api.sent import MAX_FIELD_BYTES, MAX_FIELDS, Sent
from serve.errors import Problem

__all__ = ["read_form"]

_HINT = "send it as multipart/form-data, for instance with `curl -F image=@photo.jpg`"


async def read_form(request: Request, *, max_files: int) -> Sent:
    """Read the files and the fields of a form, in memory: a container may have no disk to write to.

    Text is UTF-8 whatever charset the sender names: other codecs give text that no answer could hold.

    Args:
        request: its body is within the limit already.
        max_files: a form with more of them is refused as soon as they come.

    Raises:
        Problem: 400 for a form that cannot be read.
    """
    _, options = parse_options_header(request.headers["content-type"])
    form = _Form(max_files)
    try:
        if b"boundary" not in options:
            raise FormParserError("no boundary")
        parser = MultipartParser(options[b"boundary"], form.callbacks())  # type: ignore[arg-type]
        async for chunk in request.stream():
            parser.write(chunk)
        parser.finalize()
    except (FormParserError, UnicodeDecodeError) as error:
        raise _malformed(str(error)) from None
    if not form.complete:
        raise _malformed("it has no end")
    return form.sent


def _malformed(why: str) -> Problem:
    return Problem(400, kind="malformed-form", detail=f"the form cannot be read ({why[:100].rstrip('.')}); {_HINT}")


class _Form:
    """What the parser calls, part by part."""

    def __init__(self, max_files: int) -> None:
        self.sent = Sent([], [])
        self.complete = False
        self._max_files = max_files
        self._header = self._value = b""
        self._disposition = b""
        self._name = ""
        self._is_file = False
        self._data: list[bytes] = []

    def callbacks(self) -> dict[str, Any]:
        return {
            "on_part_begin": self._part_begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._part_data,
            "on_part_end": self._part_end,
            "on_end": self._end,
        }

    def _part_begin(self) -> None:
        self._disposition = b""
        self._data = []

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        if b"name" not in options:
            raise FormParserError("a part without a name")
        self._name = options[b"name"].decode()
        self._is_file = b"filename" in options
        if self._is_file and len(self.sent.files) >= self._max_files:
            raise FormParserError(f"too many files, at most {self._max_files}")
        if not self._is_file and len(self.sent.fields) >= MAX_FIELDS:
            raise FormParserError(f"too many fields, at most {MAX_FIELDS}")

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if not self._is_file and sum(map(len, self._data)) + end - start > MAX_FIELD_BYTES:
            raise FormParserError(f"a field of more than {MAX_FIELD_BYTES} bytes")
        self._data.append(data[start:end])

    def _part_end(self) -> None:
        data = b"".join(self._data)
        self._data = []
        if self._is_file:
            self.sent.files.append((self._name, data))
        else:
            self.sent.fields.append((self._name, data.decode()))

    def _end(self) -> None:
        self.complete = True
