"""`python` for tests that run many short commands: importing torch and the rest takes most of such a command's time.

A server imports the third-party packages once. Each command runs in a process of its own, a fork of the server: its
interpreter has the packages and nothing of ours, and runs the script or module as `__main__` from its first line.
"""

import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["warm_python"]

_HERE = Path(__file__).parent


@contextmanager
def warm_python(folder: Path) -> Iterator[Path]:
    """An executable that takes the arguments of `python`, has its exit codes and passes signals on.

    `python FILE.py` and `python -m MODULE` of ours are run by the server; all else by the interpreter itself.

    Args:
        folder: an empty one, for the executable and the server's socket.
    """
    executable, socket = folder / "python", folder / "socket"
    executable.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "{_HERE / "client.py"}" "{socket}" "$@"\n')
    executable.chmod(executable.stat().st_mode | stat.S_IXUSR)
    command = [sys.executable, str(_HERE / "server.py"), str(socket), str(executable)]
    # It ends when its standard input is closed, also where this process is killed.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n", "the server did not start"
        yield executable
