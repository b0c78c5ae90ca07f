"""Stores that lie, each in one way, and what is said of them."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from retrieval.diagnosis.conditional_writes import check_store
from retrieval.diagnosis.findings import Finding, State, exit_code_of
from retrieval.store.objects import FolderStore, ObjectStore, StoredObject, open_store
from schemas.errors import StoreNotWritable, StoreUnavailable

CHECKS = ["store: read after write", "store: listing", "store: If-None-Match", "store: If-Match"]


def states(findings: list[Finding]) -> dict[str, str]:
    return {finding.check.removeprefix("store: "): finding.state.value for finding in findings}


ALL_OK = dict.fromkeys(("read after write", "listing", "If-None-Match", "If-Match"), "ok")


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.full)])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "folder":
        return str(tmp_path / "store")
    return f"s3://{request.getfixturevalue('s3_bucket')}/shop"


def test_a_store_that_keeps_its_promises_is_ok_and_left_as_it_was(uri: str) -> None:
    store = open_store(uri)
    store.put("CURRENT", b"{}")
    findings = check_store(store, open_store(uri))
    assert [(finding.check, finding.state) for finding in findings] == [(check, State.OK) for check in CHECKS]
    assert list(store.keys("")) == ["CURRENT"]


class IgnoresConditions(FolderStore):
    """Takes If-Match and If-None-Match, and does as if they were not there."""

    def put(self, key: str, data: bytes, *, if_match: str | None = None, if_none_match: bool = False) -> str:
        return super().put(key, data)


class IgnoresIfMatch(FolderStore):
    """As servers do that know only the older of the two conditions."""

    def put(self, key: str, data: bytes, *, if_match: str | None = None, if_none_match: bool = False) -> str:
        return super().put(key, data, if_none_match=if_none_match)


class LooksThenWrites(FolderStore):
    """Honours conditions for one writer at a time; two that look together both write."""

    both_looked = threading.Barrier(2)

    def put(self, key: str, data: bytes, *, if_match: str | None = None, if_none_match: bool = False) -> str:
        if if_match is None and not if_none_match:
            return super().put(key, data)
        held = self.get(key)
        if (if_none_match and held) or (if_match and (held is None or held.etag != if_match)):
            return super().put(key, data, if_match=if_match, if_none_match=if_none_match)
        self.both_looked.wait(10)
        return super().put(key, data)


class ReadsLate(FolderStore):
    """Reads what stood before the last write."""

    def get(self, key: str) -> StoredObject | None:
        found = super().get(key)
        return StoredObject(b"write 0", found.etag) if found else None


class ListsLate(FolderStore):
    """Lists what was deleted."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._ever: set[str] = set()

    def keys(self, prefix: str) -> Iterator[str]:
        self._ever |= set(super().keys(prefix))
        return iter(sorted(key for key in self._ever if key.startswith(prefix)))


@pytest.mark.parametrize(
    ("liar", "caught"),
    [
        (IgnoresConditions, ("If-None-Match", "If-Match")),
        (IgnoresIfMatch, ("If-Match",)),
        (LooksThenWrites, ("If-None-Match", "If-Match")),
        (ReadsLate, ("read after write", "If-None-Match", "If-Match")),
        (ListsLate, ("listing",)),
    ],
)
def test_a_store_that_lies_is_told_by_its_lie(tmp_path: Path, liar: type[FolderStore], caught: tuple[str, ...]) -> None:
    findings = check_store(liar(tmp_path), liar(tmp_path))
    assert states(findings) == ALL_OK | dict.fromkeys(caught, "wrong")
    assert exit_code_of(findings) == 78
    assert all(finding.remedy for finding in findings if finding.state is State.WRONG)


def test_two_winners_are_named_as_such(tmp_path: Path) -> None:
    findings = check_store(LooksThenWrites(tmp_path), LooksThenWrites(tmp_path))
    assert "of two writers of one key both won (round 1 of 10)" in findings[-1].says


class Refuses(FolderStore):
    def put(self, key: str, data: bytes, *, if_match: str | None = None, if_none_match: bool = False) -> str:
        raise StoreNotWritable("access is denied: fix the policy")


class FailsInTheRace(FolderStore):
    def put(self, key: str, data: bytes, *, if_match: str | None = None, if_none_match: bool = False) -> str:
        if if_match or if_none_match:
            raise StoreUnavailable("503")
        return super().put(key, data)


@pytest.mark.parametrize(("store_kind", "code", "lines"), [(Refuses, 78, 1), (FailsInTheRace, 75, 4)])
def test_a_store_that_refuses_or_fails_is_said_in_its_own_words(
    tmp_path: Path, store_kind: type[FolderStore], code: int, lines: int
) -> None:
    store: ObjectStore = store_kind(tmp_path)
    findings = check_store(store, store)
    assert (exit_code_of(findings), len(findings)) == (code, lines)
    assert list(FolderStore(tmp_path).keys("doctor/")) == []
