import os
import sys
import threading

import pytest

from serve.bundle.priority import at_low_priority


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.skipif(sys.platform != "linux", reason="threads have priorities of their own on Linux only")
def test_work_runs_at_a_low_priority_and_no_other_thread_does():
    before = niceness()
    assert at_low_priority(niceness) == max(15, before)
    assert niceness() == before


def test_outcome_is_that_of_the_work():
    assert at_low_priority(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        at_low_priority(lambda: 1 / 0)


def test_thread_has_ended_afterwards():
    at_low_priority(lambda: None)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("low-priority")]
