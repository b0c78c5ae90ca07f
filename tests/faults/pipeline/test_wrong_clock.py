"""Publishers whose clock is off: order goes by generation and interval, and a store that minds says so in one line."""

import subprocess
import sys
from pathlib import Path

import pytest

from retrieval.publishing.pointer import read_pointer
from retrieval.store.objects import FolderStore, ObjectStore, open_store
from schemas.manifest import build_key
from schemas.pointer import Pointer
from schemas.receipts import Receipt, receipt_key
from tests.retrieval.publishing.publishers import put_build
from tests.servers import PROJECT_ROOT

pytestmark = pytest.mark.full

DAG = "nightly"


def prepare(store: ObjectStore, build_id: str, day: int) -> None:
    """What the jobs before it leave for `publish`."""
    put_build(store, build_id)
    facts = {"build_id": build_id, "model_id": "m", "passed": True}
    for job in ("build_index", "evaluate_index"):
        receipt = Receipt(DAG, job, "", interval_end(day), table_versions={"products": day}, facts=facts)
        store.put(receipt_key(DAG, interval_end(day), job), receipt.to_json())


def publish_by(faketime: str, clock: str, store: ObjectStore, day: int) -> subprocess.CompletedProcess[str]:
    """The job as its scheduler starts it, on a host whose clock says `clock` (such as +1d)."""
    command = [
        sys.executable, "-m", "spark_jobs.publish", "--lake", "lake", "--store", store.uri, "--dag", DAG,
        "--interval-start", f"2026-01-{day - 1:02d}T02:00:00+00:00",
        "--interval-end", f"2026-01-{day:02d}T02:00:00+00:00",
    ]  # fmt: skip
    return subprocess.run(
        [faketime, "-m", "--exclude-monotonic", "-f", clock, *command],
        cwd=PROJECT_ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def interval_end(day: int) -> str:
    return f"202601{day:02d}T020000Z"


def pointer_of(store: ObjectStore) -> Pointer:
    found = read_pointer(store)
    assert found is not None
    return found[0]


def test_clocks_an_hour_and_a_day_off_change_nothing_of_the_order(faketime: str, tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    nights = [(3, "+1d"), (4, "-1d"), (5, "+1h"), (6, "-1h"), (5, "+1d")]
    for day, clock in nights:
        prepare(store, f"b{day}", day)
        done = publish_by(faketime, clock, store, day)
        assert done.returncode == 0, done.stderr
    pointer = pointer_of(store)
    assert (pointer.generation, pointer.live.build_id, pointer.interval_end) == (4, "b6", interval_end(6))
    assert [line.live.build_id for line in pointer.history] == ["b6", "b5", "b4", "b3"]


@pytest.mark.parametrize(("clock", "says"), [("+1h", "ahead of"), ("-1h", "behind"), ("+1d", "ahead of")])
def test_a_clock_that_the_store_does_not_accept_is_one_line_and_leaves_current(
    faketime: str, s3_bucket: str, clock: str, says: str
) -> None:
    store = open_store(f"s3://{s3_bucket}/shop")
    for day in (3, 4):
        prepare(store, f"b{day}", day)
    assert publish_by(faketime, "+5m", store, 3).returncode == 0
    standing = pointer_of(store)

    refused = publish_by(faketime, clock, store, 4)
    assert refused.returncode == 78
    assert "Traceback" not in refused.stderr
    (line,) = [line for line in refused.stderr.splitlines() if line.startswith("publish:")]
    assert f"{store.uri} refused runs/.writable: this host's clock is " in line
    assert f"s {says} the store's: set it" in line
    assert pointer_of(store) == standing

    assert publish_by(faketime, "-5m", store, 4).returncode == 0
    assert pointer_of(store).live.build_id == "b4"
    assert store.size(build_key("b4")) is not None
