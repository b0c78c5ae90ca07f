"""A bulkhead: what is quick passes, what stands still leaves threads for others."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from online.access.bulkhead import Bulkhead, Full
from tests.online.running import wait_until


def test_what_is_quick_is_never_refused() -> None:
    bulkhead = Bulkhead(places=2, patience_s=30)

    def pass_through(_: int) -> None:
        with bulkhead.place():
            pass

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(pass_through, range(500)))


def test_one_more_is_refused_at_once_where_those_inside_stand_still() -> None:
    now = 0.0
    bulkhead = Bulkhead(places=2, patience_s=1, clock=lambda: now)
    with bulkhead.place(), bulkhead.place():
        now = 1.0
        with pytest.raises(Full), bulkhead.place():
            pass
    with bulkhead.place():
        pass


def test_one_more_waits_for_a_place() -> None:
    bulkhead = Bulkhead(places=1, patience_s=30)
    passed = threading.Event()

    def wait_and_pass() -> None:
        with bulkhead.place():
            passed.set()

    waiting = threading.Thread(target=wait_and_pass)
    with bulkhead.place():
        waiting.start()
        assert not passed.wait(0.05)
    waiting.join()
    assert passed.is_set()


def test_a_place_is_free_again_after_a_failure() -> None:
    bulkhead = Bulkhead(places=1, patience_s=0)
    with pytest.raises(OSError, match="the store"), bulkhead.place():
        raise OSError("the store")
    with bulkhead.place():
        pass


def test_waiting_ends_when_patience_does() -> None:
    bulkhead = Bulkhead(places=1, patience_s=0.05)
    refused = threading.Event()

    def wait() -> None:
        try:
            with bulkhead.place():
                pass
        except Full:
            refused.set()

    with bulkhead.place():
        threading.Thread(target=wait).start()
        wait_until(refused.is_set, "it is refused")
