"""The searcher as it is deployed: gunicorn, several workers, a store that changes under them."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from online.serve import take_port
from retrieval.store.objects import FolderStore
from schemas.manifest import VECTORS_FILE, build_key
from schemas.pointer import POINTER_KEY
from tests.online.running import PATIENCE_S, ROOT, Crowd, Running, run_gunicorn, wait_until
from tests.online.tiny_shop import COLOURS, SHOP, Item, photo_of, point_at, put_build

pytestmark = pytest.mark.full

REFUSALS = 'shoplens_snapshot_load_failures_total{error="Corrupt"}'
SEARCHES = 'shoplens_searches_total{kind="text"}'
CAR = Item("car-white", COLOURS["white"])


@pytest.fixture
def running(store: FolderStore, tmp_path: Path) -> Iterator[Running]:
    """A searcher of one's own, to change and stop."""
    with run_gunicorn(store, tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def shared(shop_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A searcher that is only asked."""
    with run_gunicorn(FolderStore(shop_template), tmp_path_factory.mktemp("shared")) as running:
        yield running


class Shoppers(Crowd):
    """They search without a pause."""

    def shop(self) -> None:
        while not self.stopping.is_set():
            try:
                answer = self.running.search()
            except requests.ConnectionError as error:
                self.failures.append(repr(error))
                continue
            if answer.status_code == 200:
                self.generations.append(answer.json()["generation"])
            else:
                self.failures.append(f"{answer.status_code} {answer.text}")


def test_a_swap_under_load_fails_no_request(running: Running, store: FolderStore, tmp_path: Path) -> None:
    put_build(store, tmp_path / "scratch", [*SHOP, CAR], build_id="b2", thumbnails=False)
    with Shoppers(running) as shoppers:
        wait_until(lambda: len(shoppers.generations) > 30, "shoppers are at it")
        for generation in range(2, 8):
            point_at(store, "b2" if generation % 2 == 0 else "b1", generation)
            newest = generation
            wait_until(lambda: shoppers.generations[-20:] == [newest] * 20, f"all see generation {newest}")  # noqa: B023
    assert shoppers.failures == []
    assert set(shoppers.generations) == set(range(1, 8))


def test_a_damaged_build_is_refused_under_load_and_the_next_good_one_goes_live(
    running: Running, store: FolderStore, tmp_path: Path
) -> None:
    for build_id in ("b2", "b3"):
        put_build(store, tmp_path / "scratch", [*SHOP, CAR], build_id=build_id, thumbnails=False)
    path = store.root / build_key("b2", VECTORS_FILE)
    path.write_bytes(bytes(path.stat().st_size))
    point_at(store, "b2", 2)

    wait_until(lambda: running.figure(REFUSALS) == 2, "both workers refused it")
    assert running.search().json()["generation"] == 1
    point_at(store, "b3", 3)
    wait_until(lambda: running.search("white").json()["results"][0]["product_id"] == "car-white", "b3 is live")


def test_a_running_request_is_answered_after_sigterm(running: Running) -> None:
    answers: list[requests.Response] = []
    asking = threading.Thread(target=lambda: answers.append(running.search("wait for red")))
    asking.start()
    wait_until((running.held / "began").exists, "the request runs")
    running.master.send_signal(signal.SIGTERM)
    (running.held / "go").touch()
    asking.join()
    assert running.master.wait(PATIENCE_S) == 0
    assert answers[0].status_code == 200
    assert answers[0].json()["results"][0]["product_id"] == "shirt-red"
    with pytest.raises(requests.ConnectionError):
        running.search()


def test_what_was_spooled_is_whole_and_closed_after_sigterm(running: Running) -> None:
    for _ in range(20):
        assert running.search().status_code == 200
    running.stop()
    assert list(running.spool.glob("*.part")) == []
    assert sum(len(path.read_bytes().splitlines()) for path in running.spool.glob("*.jsonl")) == 20


def test_after_a_killed_worker_one_retry_is_enough(running: Running) -> None:
    for _ in range(2):
        victim = running.workers()[0]
        victim.kill()
        for _ in range(20):
            try:
                answer = running.search()
            except requests.ConnectionError:
                answer = running.search()
            assert answer.status_code == 200
        wait_until(lambda: len(running.workers()) == 2 and victim not in running.workers(), "it is replaced")  # noqa: B023


def test_metrics_are_those_of_all_workers(shared: Running) -> None:
    before = shared.figure(SEARCHES)
    for _ in range(40):
        shared.search()
    assert {shared.figure(SEARCHES) for _ in range(10)} == {before + 40}


def test_a_body_over_the_limit_leaves_the_searcher_well(shared: Running) -> None:
    headers = {"Content-Type": "application/json"}
    answer = requests.post(f"{shared.url}/search", data=b"x" * (17 << 20), headers=headers, timeout=PATIENCE_S)
    assert answer.status_code == 413
    assert shared.search().status_code == 200


def test_workers_map_the_same_files(shared: Running) -> None:
    for worker in shared.workers():
        assert any(VECTORS_FILE in mapped.path for mapped in worker.memory_maps())


def test_workers_keep_to_a_core_each_where_they_are_told_to(store: FolderStore, tmp_path: Path) -> None:
    cores = sorted(os.sched_getaffinity(0))
    with run_gunicorn(store, tmp_path, {"SHOPLENS_PIN_WORKERS": "1"}) as running:
        kept = [set(worker.cpu_affinity()) for worker in running.workers()]
    assert sorted(kept, key=min) == sorted(({cores[place % len(cores)]} for place in range(2)), key=min)


def test_a_searcher_started_before_the_first_publish_waits_for_it(store: FolderStore, tmp_path: Path) -> None:
    """As its user starts it: the real encoder, one command."""
    pointer = store.get(POINTER_KEY)
    assert pointer is not None
    store.delete(POINTER_KEY)
    command = [sys.executable, "-m", "online.serve", "--store", str(store.root), "--cache", str(tmp_path / "cache")]
    process = subprocess.Popen([*command, "--port", "0", "--workers", "1"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert "nothing is published" in said
        url = said.split()[2].rstrip("/")

        def status(path: str) -> int:
            return requests.get(f"{url}{path}", timeout=PATIENCE_S).status_code

        assert (status("/health"), status("/ready"), status("/")) == (200, 503, 200)
        store.put(POINTER_KEY, pointer.data)  # its model is no ONNX file, so it is refused, and the searcher lives on
        wait_until(
            lambda: (
                "snapshot_load_failures_total" in requests.get(f"{url}/metrics", timeout=10).text
                and "cannot be loaded" in requests.get(f"{url}/ready", timeout=10).text
            ),
            "it says why it cannot serve",
        )
    finally:
        process.terminate()
    assert process.wait(PATIENCE_S) == 0


def test_a_port_in_use_is_one_line_before_anything_starts(tmp_path: Path) -> None:
    taken = take_port("127.0.0.1", 0)
    port = str(taken.getsockname()[1])
    command = [sys.executable, "-m", "online.serve", "--store", str(tmp_path), "--cache", str(tmp_path / "c"), "--port"]
    done = subprocess.run([*command, port], cwd=ROOT, capture_output=True, text=True, check=False)
    taken.close()
    assert done.returncode == 78
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert f"port {port}" in done.stderr
    assert not (tmp_path / "c").exists()


def test_a_photo_is_answered_end_to_end(shared: Running) -> None:
    photo = {"image": ("photo.webp", photo_of(COLOURS["green"], "WEBP"))}
    body = requests.post(f"{shared.url}/search", files=photo, data={"k": "1"}, timeout=PATIENCE_S).json()
    assert body["results"][0]["product_id"] == "sock-green"
    tile = requests.get(f"{shared.url}{body['results'][0]['uri']}", timeout=PATIENCE_S)
    assert tile.headers["Content-Type"] == "image/jpeg"


def test_connections_that_say_nothing_keep_nobody_waiting(shared: Running) -> None:
    """Browsers open some ahead of a request. With a thread for each the eight threads would take minutes to look at them."""
    with ExitStack() as silent:
        for _ in range(400):
            address = urlsplit(shared.url)
            silent.enter_context(socket.create_connection((address.hostname, address.port), timeout=PATIENCE_S))
        assert shared.search().status_code == 200
