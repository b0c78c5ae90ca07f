"""The server on the wire: a real process, a real client."""

import concurrent.futures
import http.client
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from demo.catalog import CatalogPlan, write_catalog
from demo.faults import PHOTO_FAULTS, read_faults, write_faults
from demo.files import MOVED_SUFFIX, photo_bytes, photo_path
from demo.server import serve

pytestmark = pytest.mark.full
KINDS = dict(enumerate(PHOTO_FAULTS, start=1))  # product number → the kind of its photo's fault


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    write_catalog(folder, CatalogPlan(products=20, fault_share=0.0), workers=1)
    for number, kind in KINDS.items():
        place = folder / photo_path(number, 0)
        place.unlink()
        suffix = MOVED_SUFFIX if kind == "moved" else ""
        if PHOTO_FAULTS[kind].file or kind == "moved":
            (folder / photo_path(number, 0, suffix)).write_bytes(photo_bytes(7, number, 0, kind))
    write_faults(folder, {photo_path(number, 0): kind for number, kind in KINDS.items()}, [])
    return folder


@pytest.fixture
def base_url(root):
    with serve(root) as url:
        yield url


def url_of(base_url, kind):
    return f"{base_url}/{photo_path(next(n for n, k in KINDS.items() if k == kind), 0)}"


@pytest.mark.parametrize("kind", [k for k in PHOTO_FAULTS if k not in ("slow", "truncated_body", "redirect_loop")])
def test_every_kind_of_fault_looks_on_the_wire_as_it_should(base_url, root, kind):
    expected = {"dead": 404, "gone": 410, "busy_once": 429, "unavailable_once": 503}
    with requests.Session() as client:
        reply = client.get(url_of(base_url, kind))
        assert reply.status_code == expected.get(kind, 200)
        if kind.endswith("_once"):
            assert reply.headers["Retry-After"] == "1"
            reply = client.get(url_of(base_url, kind))
            assert reply.status_code == 200
        if kind == "moved":
            assert [hop.status_code for hop in reply.history] == [301]
        if reply.ok:
            assert reply.headers["Content-Type"] == "image/jpeg"
            assert reply.content in {photo.read_bytes() for photo in root.rglob("*.jpg")}


def test_a_slow_photo_runs_into_the_clients_timeout(base_url):
    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.get(url_of(base_url, "slow"), timeout=0.2)


def test_a_cut_body_ends_before_its_length(base_url):
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)):
        requests.get(url_of(base_url, "truncated_body"))


def test_a_redirect_loop_has_no_end(base_url):
    with pytest.raises(requests.exceptions.TooManyRedirects):
        requests.get(url_of(base_url, "redirect_loop"))


def test_the_second_look_is_304_and_the_counts_say_so(base_url):
    path = photo_path(0, 0)
    with requests.Session() as client:
        first = client.get(f"{base_url}/{path}")
        by_tag = client.get(f"{base_url}/{path}", headers={"If-None-Match": first.headers["ETag"]})
        since = {"If-Modified-Since": first.headers["Last-Modified"]}
        by_date = client.get(f"{base_url}/{path}", headers=since)
        head = client.head(f"{base_url}/{path}")
        stats = client.get(f"{base_url}/stats").json()
    assert (first.status_code, by_tag.status_code, by_date.status_code) == (200, 304, 304)
    assert (by_tag.content, head.content) == (b"", b"")
    assert head.headers["Content-Length"] == str(len(first.content))
    assert (stats["requests"], stats["full_bodies"], stats["not_modified"]) == (4, 1, 2)
    assert stats["sent_in_full_again"] == {}


def test_a_photo_sent_twice_in_full_is_named(base_url):
    for _ in range(2):
        requests.get(f"{base_url}/{photo_path(0, 0)}")
    assert requests.get(f"{base_url}/stats").json()["sent_in_full_again"] == {f"/{photo_path(0, 0)}": 2}
    requests.post(f"{base_url}/stats/reset")
    assert requests.get(f"{base_url}/stats").json()["requests"] == 0


def test_the_most_requests_at_once_are_counted_by_host(root):
    with serve(root, latency_s=0.3) as url, concurrent.futures.ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda _: requests.get(f"{url}/{photo_path(0, 1)}"), range(5)))
        hosts = requests.get(f"{url}/stats").json()["by_host"]
    (host,) = hosts.values()
    assert 2 <= host["in_flight_max"] <= 5
    assert host["requests"] == 5


def test_requests_sent_ahead_on_one_connection_are_all_answered(base_url):
    address = ("127.0.0.1", int(base_url.rpartition(":")[2]))
    one = f"GET /{photo_path(0, 0)} HTTP/1.1\r\nHost: shop\r\n\r\n".encode()
    with socket.create_connection(address, timeout=10) as client:
        client.sendall(one * 2 + one.replace(b"shop\r\n", b"shop\r\nConnection: close\r\n"))
        received = b""
        while part := client.recv(65536):
            received += part
    assert received.count(b"HTTP/1.1 200 OK\r\n") == 3


def test_a_client_that_is_not_http_is_turned_away(base_url):
    connection = http.client.HTTPConnection("127.0.0.1", int(base_url.rpartition(":")[2]), timeout=10)
    connection.request("GET", "/" + "x" * 20_000)
    assert connection.getresponse().status in (404, 431)
    connection.close()


def test_a_lazy_catalog_serves_the_bytes_that_an_eager_one_holds(tmp_path):
    plan = {"products": 8, "fault_share": 0.0}
    write_catalog(tmp_path / "eager", CatalogPlan(**plan), workers=1)
    write_catalog(tmp_path / "lazy", CatalogPlan(**plan, lazy=True))
    path = photo_path(5, 1)
    with serve(tmp_path / "lazy") as url:
        first = requests.get(f"{url}/{path}")
        again = requests.get(f"{url}/{path}", headers={"If-None-Match": first.headers["ETag"]})
        missing = requests.get(f"{url}/photos/000/Q1.jpg")
    assert first.content == (tmp_path / "eager" / path).read_bytes()
    assert (again.status_code, missing.status_code) == (304, 404)


def test_the_server_prints_its_address_and_leaves_with_its_parent(root, tmp_path):
    command = [sys.executable, "-m", "demo.server", "--root", str(root), "--port-file", str(tmp_path / "port")]
    with subprocess.Popen(
        [*command, "--until-stdin-closes"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as server:
        address = server.stdout.readline().strip()
        assert address.rpartition(":")[2] == (tmp_path / "port").read_text().strip()
        server.stdin.close()
        assert server.wait(20) == 0


def test_a_port_in_use_is_one_line_and_exit_code_78(root):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "demo.server", "--root", str(root), "--port", port]
        ended = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=60)
    assert ended.returncode == 78
    assert ended.stderr.count("\n") == 1
    assert "--port" in ended.stderr


def test_faults_are_read_back(root):
    assert set(read_faults(root).values()) == set(PHOTO_FAULTS)
