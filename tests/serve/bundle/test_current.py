from contextlib import suppress
from types import SimpleNamespace

from serve.bundle.current import Current


def bundle(name: str) -> SimpleNamespace:
    return SimpleNamespace(name=name)


def test_request_keeps_the_bundle_that_it_started_with():
    one, two = bundle("one"), bundle("two")
    current = Current(one)
    with current.hold() as first:
        old = current.swap(two)
        assert first is one
        with current.hold() as second:
            assert second is two
        assert not old.drained.is_set()
    assert old.drained.is_set()


def test_bundle_is_drained_after_the_last_of_several_requests():
    current = Current(bundle("one"))
    first, second = current.hold(), current.hold()
    first.__enter__()
    second.__enter__()
    old = current.swap(bundle("two"))
    second.__exit__(None, None, None)
    assert not old.drained.is_set()
    first.__exit__(None, None, None)
    assert old.drained.is_set()


def test_bundle_that_no_request_holds_is_drained_at_once():
    current = Current(bundle("one"))
    with current.hold():
        pass
    old = current.swap(bundle("two"))
    assert old.drained.is_set()
    assert not current.swap(bundle("three")).holders


def test_request_that_fails_lets_go():
    current = Current(bundle("one"))
    with suppress(RuntimeError), current.hold():
        raise RuntimeError
    assert current.swap(bundle("two")).drained.is_set()
