"""Two publishers that both read CURRENT before either writes it: one wins, the other is told, and nothing is lost."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest

from retrieval.publishing.pointer import read_pointer
from retrieval.publishing.publish import publish
from retrieval.store.objects import open_store
from retrieval.store.s3 import S3Store
from schemas.errors import PreconditionFailed
from schemas.pointer import HISTORY_LENGTH, Served
from tests.faults.conftest import repetitions
from tests.faults.pipeline.publishers import barrier, queue, start_process
from tests.retrieval.publishing.publishers import put_build

pytestmark = [pytest.mark.full, pytest.mark.timeout(3600)]

PATIENCE_S = 120


@dataclass
class _RacingStore:
    """Its first write of CURRENT in a round waits for the rival's, so that both have read the same one."""

    store: Any
    start: Any
    fresh: bool = True
    told: list[bool] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def put(self, key: str, data: bytes, **conditions: Any) -> str:
        if self.fresh:
            self.fresh = False
            self.start.wait(PATIENCE_S)
        try:
            etag = self.store.put(key, data, **conditions)
        except PreconditionFailed:
            self.told.append(False)
            raise
        self.told.append(True)
        return str(etag)


def run_rounds(uri: str, name: str, rounds: int, start: Any, outcomes: Any) -> None:
    """Publish once a round against a rival; says of each whether its first write won, and the generation it made."""
    store = open_store(uri)
    for number in range(rounds):
        start.wait(PATIENCE_S)  # the round before is over for both
        racing = _RacingStore(store, start)
        made = publish(
            racing, Served(name, "m"), f"{20260101 + number}T020000Z", {"products": number}, f"{name}/{number}"
        )  # type: ignore[arg-type]
        outcomes.put((number, racing.told[0], made.moved, made.pointer.generation))


def test_of_two_publishers_one_wins_each_race_and_no_generation_is_lost_or_repeated(s3_bucket: str) -> None:
    rounds = repetitions(20, 200)
    store = S3Store(s3_bucket, "shop")
    for name in ("one", "other"):
        put_build(store, name)
    start, outcomes = barrier(2), queue()
    racers = [
        start_process(run_rounds, store.uri, name, rounds, start, outcomes) for name in ("one", "other")
    ]  # fmt: skip
    told = [outcomes.get(timeout=PATIENCE_S) for _ in range(2 * rounds)]
    for racer in racers:
        racer.join(PATIENCE_S)

    won_at_once = Counter(number for number, first, _, _ in told if first)
    assert won_at_once == Counter(range(rounds))
    assert all(moved for _, _, moved, _ in told)  # the loser reads again, and its build goes live after the winner's
    assert sorted(generation for *_, generation in told) == list(range(1, 2 * rounds + 1))
    found = read_pointer(store)
    assert found is not None
    assert found[0].generation == 2 * rounds
    newest = range(2 * rounds, 2 * rounds - HISTORY_LENGTH, -1)
    assert [line.generation for line in found[0].history] == list(newest)


def test_a_task_that_runs_twice_at_once_makes_one_generation(s3_bucket: str) -> None:
    rounds = repetitions(5, 50)
    store = S3Store(s3_bucket, "shop")
    put_build(store, "one")
    start, outcomes = barrier(2), queue()
    twins = [start_process(run_rounds, store.uri, "one", rounds, start, outcomes) for _ in range(2)]
    told = [outcomes.get(timeout=PATIENCE_S) for _ in range(2 * rounds)]
    for twin in twins:
        twin.join(PATIENCE_S)

    assert Counter(generation for *_, generation in told) == dict.fromkeys(range(1, rounds + 1), 2)
    found = read_pointer(store)
    assert found is not None
    assert [line.publish_id for line in found[0].history] == [f"one/{n}" for n in reversed(range(rounds))][
        :HISTORY_LENGTH
    ]
