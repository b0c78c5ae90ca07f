"""A searcher whose clock is set wrong while it runs: it serves on, says what is wrong, and follows once the clock is right."""

import json
import re
from pathlib import Path

import pytest

from tests.faults.online.changing_shop import ChangingShop, generation_of
from tests.online.running import Running, run_gunicorn, wait_until

pytestmark = pytest.mark.full


NAMED = re.compile(r"this host's clock is 86\d\d\d s ahead of the store's: set it")

# libfaketime leaves the monotonic clock alone, as it is asked to, but then refuses to sleep by it.
SLEEP_OTHERWISE = "import threading, time; time.sleep = lambda seconds: threading.Event().wait(seconds)"


@pytest.fixture
def clock(faketime: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that says by how much the clock of processes started from now on is off, read at each look at the clock."""
    library = next(Path(faketime).parents[1].glob("lib/**/faketime/libfaketimeMT.so.1"))
    clock, site = tmp_path / "clock", tmp_path / "site"
    clock.write_text("+0")
    site.mkdir()
    (site / "sitecustomize.py").write_text(SLEEP_OTHERWISE)
    settings = {
        "LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1", "PYTHONPATH": str(site),
    }  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return clock


def live_generation(running: Running) -> int:
    return int(running.figure("shoplens_generation"))


def test_builds_go_live_in_the_order_of_generations_whatever_the_clock_says(
    folder_shop: ChangingShop, clock: Path, tmp_path: Path
) -> None:
    with run_gunicorn(folder_shop.store, tmp_path) as running:
        for generation, off in enumerate(("+1d", "-1h", "-1d", "+1h"), 2):
            clock.write_text(off)
            folder_shop.publish(generation)
            wait_until(lambda: live_generation(running) == generation, f"generation {generation} is live")  # noqa: B023
            assert {generation_of(running.search("white").json()) for _ in range(8)} == {generation}
            kept = {path.name for path in (tmp_path / "cache" / "builds").iterdir() if path.is_dir()}
            assert kept == {f"b{generation}", f"b{generation - 1}"}


def test_a_clock_that_the_store_does_not_accept_is_named_and_the_old_index_serves(
    shop: ChangingShop, clock: Path, tmp_path: Path
) -> None:
    with run_gunicorn(shop.store, tmp_path) as running:
        clock.write_text("+1d")
        wait_until(lambda: "store_unavailable" in running.log.read_text(), "the searcher says so")
        said = [json.loads(line) for line in running.log.read_text().splitlines() if '"store_unavailable"' in line]
        assert all(NAMED.search(line["detail"]) for line in said)
        shop.publish(2)
        assert {generation_of(running.search("white").json()) for _ in range(8)} == {1}
        clock.write_text("+0")
        wait_until(lambda: live_generation(running) == 2, "the new build is live")
