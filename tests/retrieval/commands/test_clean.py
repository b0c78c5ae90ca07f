import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from retrieval.commands.clean import clean
from retrieval.store.objects import FolderStore
from schemas.errors import Misconfigured
from schemas.pointer import POINTER_KEY, Pointer, Served


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    """A live build and one that nobody names, and an old receipt, all a hundred days old."""
    made = FolderStore(tmp_path / "store")
    for key in ("builds/live/index.faiss", "builds/gone/index.faiss", "runs/nightly/20250101T020000Z/publish.json"):
        made.put(key, b"x" * 1000)
        moment = (datetime.now(UTC) - timedelta(days=100)).timestamp()
        os.utime(made.root / key, (moment, moment))
    made.put(POINTER_KEY, Pointer(1, "20260101T000000Z", {}, Served("live", "m")).to_json())
    return made


def run(store: FolderStore, *arguments: str) -> str:
    return CliRunner().invoke(clean, ["--store", str(store.root), *arguments], catch_exceptions=False).output


def test_without_yes_nothing_goes(store: FolderStore) -> None:
    said = run(store)
    assert "build      gone  0.0 MB  its upload never ended" in said
    assert "1 build, 1 receipt: 0.0 MB may go. Nothing was removed: --yes does it" in said
    assert len(list(store.keys(""))) == 4


def test_with_yes_it_goes_and_the_next_finds_nothing(store: FolderStore) -> None:
    assert "removed: 1 build, 1 receipt" in run(store, "--yes")
    assert list(store.keys("")) == [POINTER_KEY, "builds/live/index.faiss"]
    assert "may go" in run(store, "--yes")


def test_json_says_what_and_why(store: FolderStore) -> None:
    document = json.loads(run(store, "--json"))
    assert [(one["kind"], one["name"]) for one in document["found"]] == [
        ("receipt", "nightly/20250101T020000Z/publish.json"), ("build", "gone"),
    ]  # fmt: skip
    assert document["removed"] is None
    assert json.loads(run(store, "--yes", "--json"))["removed"] == {"build": 1, "receipt": 1}


def test_ages_count_to_the_moment_given(store: FolderStore) -> None:
    then = (datetime.now(UTC) - timedelta(days=95)).isoformat()
    assert "nothing in" in run(store, "--as-of", then)
    with pytest.raises(Misconfigured, match="no time zone"):
        run(store, "--as-of", "2026-01-01T00:00:00")
    with pytest.raises(Misconfigured, match="is before anything was stored"):
        run(store, "--as-of", "0001-01-01T00:00:00+00:00")
