"""How a command ends: 0; 2 with one message for what the user can mend; 1 with a traceback for our bugs."""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from src.contracts.errors import LookalikeError

__all__ = ["exit_with_message"]

_USER_ERRNOS = frozenset({errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EDQUOT})


@contextmanager
def exit_with_message(*kinds: type[Exception]) -> Iterator[None]:
    """End the process with 2 and one line where the body raises what the user can mend.

    Args:
        kinds: such errors, besides `LookalikeError` and files that may not or cannot be written.
    """
    expected: tuple[type[Exception], ...] = (LookalikeError, *kinds)
    try:
        yield
    except expected as error:
        sys.exit(_report(error))
    except OSError as error:
        if error.errno not in _USER_ERRNOS:
            raise
        sys.exit(_report(error))


def _report(error: Exception) -> int:
    print(f"error: {error}", file=sys.stderr)
    return 2
