"""The log: lines for people, or JSON for machines. Neither has image content, keys or addresses of callers."""

import json
import logging
import sys
from datetime import UTC, datetime

__all__ = ["REQUESTS", "configure_logging"]

REQUESTS = logging.getLogger("serve.requests")
"""One record for each answered request, with `fields`; written in JSON only."""

_OURS = ("serve", "src")


class _Json(logging.Formatter):
    """One object a line: time, level, logger, message, and the record's `fields`."""

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False)


def configure_logging(*, form: str, level: str) -> None:
    """Send the log to stderr.

    Args:
        form: `text` or `json`.
        level: of our own loggers: `debug`, `info`, `warning` or `error`; libraries are heard from `warning` on.
    """
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(_Json() if form == "json" else text)
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    for name in _OURS:
        logging.getLogger(name).setLevel(level.upper())
    REQUESTS.setLevel(level.upper() if form == "json" else logging.CRITICAL)
