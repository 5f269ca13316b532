"""The log on stderr, as lines or as JSON. It holds no image content, no token and no address of a caller."""

import json
import logging
from datetime import UTC, datetime
from typing import Any

__all__ = ["REQUESTS", "SERVER", "log_config"]

REQUESTS = logging.getLogger("serve.requests")
"""One record for each answered request, with `fields`; written as JSON only."""

SERVER = "_granian"
"""Name of the server's logger."""
_LIBRARIES = (SERVER, "granian")


class JsonFormatter(logging.Formatter):
    """One object a line: time, level, logger, message, and the record's `fields`."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        content = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            content["exception"] = self.formatException(record.exc_info)
        return json.dumps(content, ensure_ascii=False)


def log_config(*, form: str, level: str) -> dict[str, Any]:
    """The configuration for `logging.config.dictConfig`: `level` is that of our own loggers, others have `warning`."""
    formatter: dict[str, Any] = {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}
    if form == "json":
        formatter = {"()": JsonFormatter}
    requests = level.upper() if form == "json" else "CRITICAL"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": formatter},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "stream": "ext://sys.stderr"}},
        "root": {"level": "WARNING", "handlers": ["stderr"]},
        "loggers": {
            **{name: {"level": level.upper()} for name in ("serve", "src")},
            # The server's own lines about its workers; it sets their level itself.
            **{name: {"level": "WARNING", "handlers": [], "propagate": True} for name in _LIBRARIES},
            REQUESTS.name: {"level": requests},
        },
    }
