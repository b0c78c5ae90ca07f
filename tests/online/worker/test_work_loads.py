"""The page of memory in which the workers of a master see each other's load."""

import os

from online.worker import Load, WorkLoads


def test_a_child_writes_what_its_master_reads() -> None:
    loads = WorkLoads()
    if (child := os.fork()) == 0:
        loads.write(3, Load(7, 9))
        os._exit(0)
    os.waitpid(child, 0)
    assert loads.least() == Load(7, 9)


def test_the_least_busy_is_found_among_all() -> None:
    loads = WorkLoads()
    for place, load in enumerate([Load(2, 2), Load(0, 5), Load(1, 1), Load(0, 4)]):
        loads.write(place, load)
    assert loads.least() == Load(0, 4)


def test_more_workers_than_places_and_more_requests_than_it_can_write_do_no_harm() -> None:
    loads = WorkLoads()
    loads.write(10_000, Load(1, 1))
    assert loads.least() is None
    loads.write(0, Load(100_000, 100_000))
    assert loads.least() == Load(65_534, 65_534)
