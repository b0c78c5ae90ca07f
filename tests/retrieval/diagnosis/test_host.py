from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from retrieval.diagnosis.findings import State
from retrieval.diagnosis.host import check_clock, check_disks
from retrieval.store.objects import FolderStore
from retrieval.store.s3 import S3Store
from tests.retrieval.diagnosis.shops import publish_whole

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class ClockedStore(FolderStore):
    def clock(self) -> datetime:
        return NOON


@pytest.mark.parametrize(
    ("off", "state", "says"),
    [
        (timedelta(0), State.OK, "the store's"),
        (timedelta(seconds=59), State.OK, "59 s ahead of the store's"),
        (timedelta(seconds=-90), State.WARNING, "90 s behind the store's"),
        (timedelta(minutes=16), State.WRONG, "960 s ahead of the store's: beyond the 15 minutes that S3 accepts"),
        (timedelta(days=-1), State.WRONG, "86400 s behind the store's: beyond the 15 minutes that S3 accepts"),
    ],
)
def test_a_clock_is_judged_by_how_far_it_is_off(tmp_path: Path, off: timedelta, state: State, says: str) -> None:
    finding = check_clock(ClockedStore(tmp_path), now=lambda: NOON + off)
    assert (finding.state, finding.says) == (state, says)


@pytest.mark.full
def test_the_clock_of_a_real_server_is_read_also_when_it_refuses_us(
    s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check_clock(S3Store(s3_bucket, "")).state is State.OK
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not the secret")
    assert check_clock(S3Store(s3_bucket, "")).state is State.OK


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    """A live build of 1,000 bytes, a delta of 100, and a model that takes 10 without its weights."""
    made = FolderStore(tmp_path / "store")
    publish_whole(made)
    return made


@pytest.mark.parametrize(
    ("free", "state"), [(1109, State.WRONG), (1110, State.WARNING), (2109, State.WARNING), (2110, State.OK)]
)
def test_a_cache_needs_room_for_what_is_named_and_for_the_next_build_beside_it(
    store: FolderStore, tmp_path: Path, free: int, state: State
) -> None:
    cache, _ = check_disks(store, tmp_path / "cache", free_bytes=lambda folder: free)
    assert (cache.check, cache.state) == ("disk: cache", state)


def test_what_is_in_the_cache_needs_no_more_room(store: FolderStore, tmp_path: Path) -> None:
    (tmp_path / "cache/builds/live").mkdir(parents=True)
    cache, _ = check_disks(store, tmp_path / "cache", free_bytes=lambda folder: 1110)
    assert cache.state is State.OK


def test_scratch_needs_twice_a_build(store: FolderStore, tmp_path: Path) -> None:
    found = [check_disks(store, tmp_path, free_bytes=lambda folder, free=free: free)[1] for free in (1999, 2000)]  # type: ignore[misc]
    assert [finding.state for finding in found] == [State.WARNING, State.OK]


def test_real_disks_are_asked_too(store: FolderStore, tmp_path: Path) -> None:
    assert [finding.state for finding in check_disks(store, tmp_path / "not there yet")] == [State.OK, State.OK]
