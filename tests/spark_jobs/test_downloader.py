"""The downloader against a real server, each fault on the wire."""

import asyncio
import gzip
import socketserver
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from schemas.reasons import FetchReason
from spark_jobs.downloader import WINDOW_LINKS, download
from spark_jobs.fetch.answers import Errand, Known, Visit
from spark_jobs.fetch.lanes import Division
from spark_jobs.fetch.settings import FetchSettings
from tests.spark_jobs.fetch.fault_server import Exchange, FaultServer, head
from tests.spark_jobs.fetch.photos import photo

pytestmark = pytest.mark.full

PHOTO = photo()
BOMB = gzip.compress(b"\0" * 30_000_000)
NOTHING_KNOWN = Known()
QUICK = FetchSettings(
    connect_timeout_s=2, read_timeout_s=0.5, total_timeout_s=2, backoff_s=0.01, retry_after_max_s=2,
    image_max_bytes=100_000, allow_private=True,
)  # fmt: skip


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


def visit_all(urls: list[str], settings: FetchSettings = QUICK, known: Known = NOTHING_KNOWN) -> dict[str, Visit]:
    division = Division(1, settings)
    errands = (Errand(url, url, known) for url in urls)
    return {visit.errand.url: visit for visits in download(errands, settings, division, 0) for visit in visits}


def visit(url: str, settings: FetchSettings = QUICK, known: Known = NOTHING_KNOWN) -> Visit:
    return visit_all([url], settings, known)[url]


def test_a_photo_comes_with_its_validators(server: FaultServer) -> None:
    found = visit(server.on_photo("/a.jpg", PHOTO, ETag='"v1"', Last_Modified="Mon, 05 Jan 2026 10:00:00 GMT"))
    assert found.answer.data == PHOTO
    assert (found.answer.etag, found.answer.last_modified) == ('"v1"', "Mon, 05 Jan 2026 10:00:00 GMT")
    assert found.errand.requests == 1


def test_a_known_photo_is_asked_for_with_its_validators_and_not_sent_again(server: FaultServer) -> None:
    url = server.on_photo("/a.jpg", PHOTO, ETag='"v1"')
    answer = visit(url, known=Known('"v1"', "Mon, 05 Jan 2026 10:00:00 GMT", "c1")).answer
    assert (answer.unchanged, answer.data, answer.http_status) == (True, None, 304)
    assert server.seen.headers["/a.jpg"]["if-modified-since"] == "Mon, 05 Jan 2026 10:00:00 GMT"


def test_validators_without_content_are_not_sent(server: FaultServer) -> None:
    assert visit(server.on_photo("/a.jpg", PHOTO, ETag='"v1"'), known=Known('"v1"', None, None)).answer.data == PHOTO


@pytest.mark.parametrize(
    ("status", "reason", "requests"),
    [
        (404, FetchReason.HTTP_404, 1), (410, FetchReason.HTTP_410, 1), (403, FetchReason.HTTP_403, 1),
        (418, FetchReason.HTTP_4XX, 1), (500, FetchReason.HTTP_500, 3), (503, FetchReason.HTTP_503, 3),
        (599, FetchReason.HTTP_5XX, 3), (206, FetchReason.HTTP_OTHER, 1), (304, FetchReason.HTTP_OTHER, 1),
    ],
)  # fmt: skip
def test_a_refusal_is_its_status_and_only_a_temporary_one_is_tried_again(
    server: FaultServer, status: int, reason: FetchReason, requests: int
) -> None:
    async def refuse(exchange: Exchange) -> None:
        await exchange.reply(status, b"" if status == 304 else b"no")

    found = visit(server.on("/a.jpg", refuse))
    assert (found.answer.reason, found.answer.http_status) == (reason, status)
    assert found.errand.requests == server.seen.requests["/a.jpg"] == requests


@pytest.mark.parametrize("wait", [{"Retry_After": "1"}, {}])
def test_too_many_requests_and_then_a_photo_is_a_photo(server: FaultServer, wait: dict[str, str]) -> None:
    async def busy_once(exchange: Exchange) -> None:
        if exchange.number == 1:
            await exchange.reply(429, b"", **wait)
        else:
            await exchange.reply(200, PHOTO)

    found = visit(server.on("/a.jpg", busy_once))
    assert found.answer.data == PHOTO
    assert found.errand.requests == 2


def test_a_wait_above_the_cap_is_left_to_a_later_run(server: FaultServer) -> None:
    async def busy(exchange: Exchange) -> None:
        await exchange.reply(429, b"", Retry_After="3600")

    found = visit(server.on("/a.jpg", busy))
    assert (found.answer.reason, found.answer.retry_after_s) == (FetchReason.HTTP_429, 3600.0)
    assert server.seen.requests["/a.jpg"] == 1


def test_after_a_429_the_whole_host_is_left_alone_for_as_long_as_it_asks(server: FaultServer) -> None:
    asked_at: list[float] = []

    async def busy_once(exchange: Exchange) -> None:
        asked_at.append(time.monotonic())
        if len(asked_at) == 1:
            await exchange.reply(429, b"", Retry_After="1")
        else:
            await exchange.reply(200, PHOTO)

    one_at_a_time = FetchSettings(allow_private=True, host_at_once=1, backoff_s=0.01)
    found = visit_all([server.on(f"/{number}.jpg", busy_once) for number in range(3)], one_at_a_time)
    assert all(each.answer.data == PHOTO for each in found.values())
    assert asked_at[1] - asked_at[0] >= 1.0


async def slow_head(exchange: Exchange) -> None:
    await exchange.until_the_client_leaves()


async def slow_body(exchange: Exchange) -> None:
    await exchange.send(head(200, Content_Length="1000") + b"\xff\xd8")
    await exchange.until_the_client_leaves()


async def cut_short(exchange: Exchange) -> None:
    await exchange.send(head(200, Content_Length=str(len(PHOTO))) + PHOTO[:-5])
    exchange.hang_up()


async def cut_short_in_chunks(exchange: Exchange) -> None:
    await exchange.send(head(200, Transfer_Encoding="chunked") + b"5\r\nabcde\r\nff\r\nabc")
    exchange.hang_up()


async def announced_too_large(exchange: Exchange) -> None:
    await exchange.send(head(200, Content_Length="100001"))
    await exchange.until_the_client_leaves()


async def too_large_unannounced(exchange: Exchange) -> None:
    await exchange.send(head(200, Connection="close") + b"\xff" * 200_000)
    await exchange.until_the_client_leaves()


async def gzip_bomb(exchange: Exchange) -> None:
    await exchange.reply(200, BOMB, Content_Encoding="gzip")


async def broken_gzip(exchange: Exchange) -> None:
    await exchange.reply(200, gzip.compress(PHOTO)[:-20], Content_Encoding="gzip")


async def empty(exchange: Exchange) -> None:
    await exchange.reply(200)


async def no_http(exchange: Exchange) -> None:
    await exchange.send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    exchange.hang_up()


async def reset_at_once(exchange: Exchange) -> None:
    exchange.reset()


async def hangs_up(exchange: Exchange) -> None:
    exchange.hang_up()


async def endless_headers(exchange: Exchange) -> None:
    await exchange.send(head(200, **{f"X_{number}": "a" * 8000 for number in range(40)}))
    exchange.hang_up()


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (slow_head, FetchReason.READ_TIMEOUT), (slow_body, FetchReason.READ_TIMEOUT),
        (cut_short, FetchReason.TRUNCATED), (cut_short_in_chunks, FetchReason.TRUNCATED),
        (announced_too_large, FetchReason.TOO_LARGE), (too_large_unannounced, FetchReason.TOO_LARGE),
        (gzip_bomb, FetchReason.TOO_LARGE), (broken_gzip, FetchReason.TRUNCATED), (empty, FetchReason.EMPTY),
        (no_http, FetchReason.HTTP_OTHER), (reset_at_once, FetchReason.RESET), (hangs_up, FetchReason.RESET),
    ],
)  # fmt: skip
def test_each_fault_on_the_wire_has_its_reason(server: FaultServer, script: object, reason: FetchReason) -> None:
    assert visit(server.on("/a.jpg", script)).answer.reason == reason  # type: ignore[arg-type]


def test_headers_without_end_are_given_up_on(server: FaultServer) -> None:
    assert visit(server.on("/a.jpg", endless_headers)).answer.reason is not None


def test_a_trickle_that_never_pauses_meets_the_total_timeout(server: FaultServer) -> None:
    async def trickle(exchange: Exchange) -> None:
        await exchange.send(head(200, Content_Length="100000"))
        while True:
            await exchange.send(b"x")
            if exchange.writer.transport.is_closing():
                return
            await asyncio.sleep(0.05)

    settings = FetchSettings(allow_private=True, read_timeout_s=5, total_timeout_s=0.6)
    assert visit(server.on("/a.jpg", trickle), settings).answer.reason == FetchReason.TOTAL_TIMEOUT


def test_a_compressed_photo_is_unpacked(server: FaultServer) -> None:
    async def compressed(exchange: Exchange) -> None:
        await exchange.reply(200, gzip.compress(PHOTO), Content_Encoding="gzip")

    assert visit(server.on("/a.jpg", compressed)).answer.data == PHOTO
    assert server.seen.headers["/a.jpg"]["accept-encoding"] == "identity"


def redirect_to(location: str, status: int = 302) -> object:
    async def script(exchange: Exchange) -> None:
        await exchange.reply(status, b"", Location=location)

    return script


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed_and_noted(server: FaultServer, status: int) -> None:
    target = server.on_photo("/b.jpg", PHOTO)
    found = visit(server.on("/a.jpg", redirect_to("/b.jpg", status)))  # type: ignore[arg-type]
    assert found.answer.data == PHOTO
    assert found.errand.place == target
    assert found.errand.requests == 2


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("/a.jpg", FetchReason.REDIRECT_LIMIT),
        ("http://169.254.169.254/latest/meta-data/", FetchReason.ADDRESS_REFUSED),
        ("http://[fe80::1]/a.jpg", FetchReason.ADDRESS_REFUSED),
        ("http://[::ffff:169.254.169.254]/", FetchReason.ADDRESS_REFUSED),
        ("file:///etc/passwd", FetchReason.SCHEME_REFUSED),
        ("s3://bucket/key", FetchReason.SCHEME_REFUSED),
        ("", FetchReason.REDIRECT_INVALID),
        ("http://[::1/", FetchReason.REDIRECT_INVALID),
    ],
)
def test_a_redirect_to_where_it_must_not_go_is_refused(server: FaultServer, location: str, reason: FetchReason) -> None:
    found = visit(server.on("/a.jpg", redirect_to(location)))  # type: ignore[arg-type]
    assert found.answer.reason == reason


def test_five_redirects_are_followed_and_six_are_not(server: FaultServer) -> None:
    for number in range(6):
        server.on(f"/{number}", redirect_to(f"/{number + 1}"))  # type: ignore[arg-type]
    server.on_photo("/6", PHOTO)
    assert visit(server.url("/1")).answer.data == PHOTO
    assert visit(server.url("/0")).answer.reason == FetchReason.REDIRECT_LIMIT


def test_credentials_of_a_link_stay_with_its_host(server: FaultServer) -> None:
    server.on("/a.jpg", redirect_to("/b.jpg"))  # type: ignore[arg-type]
    server.on_photo("/b.jpg", PHOTO)
    visit(server.url("/a.jpg").replace("//", "//user:secret@"))
    assert "authorization" in server.seen.headers["/a.jpg"]
    assert "authorization" not in server.seen.headers["/b.jpg"]


def test_inside_addresses_are_refused_unless_allowed(server: FaultServer) -> None:
    url = server.on_photo("/a.jpg", PHOTO)
    by_name = url.replace("127.0.0.1", "localhost")
    found = visit_all([url, by_name, "http://[::1]/a"], FetchSettings())
    assert {each.answer.reason for each in found.values()} == {FetchReason.ADDRESS_REFUSED}
    assert visit("http://127.1/a", FetchSettings()).answer.reason is not None
    assert server.seen.requests.total() == 0


def test_hosts_that_do_not_exist_or_do_not_listen_or_speak_no_tls_have_their_reasons() -> None:
    class PlainText(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with FaultServer() as gone:
        closed = gone.url("/a.jpg")
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), PlainText) as plain:
        threading.Thread(target=plain.serve_forever, daemon=True).start()
        no_tls, no_host = f"https://127.0.0.1:{plain.server_address[1]}/a.jpg", "http://no-such-host.invalid/a.jpg"
        found = visit_all([no_host, closed, no_tls])
        plain.shutdown()
    assert {url: each.answer.reason for url, each in found.items()} == {
        no_host: FetchReason.DNS, closed: FetchReason.CONNECT, no_tls: FetchReason.TLS,
    }  # fmt: skip


def test_what_cannot_be_asked_costs_no_request() -> None:
    found = visit_all(["images/a.jpg", "ftp://shop.example/a.jpg", ""])
    assert [each.errand.requests for each in found.values()] == [0, 0, 0]


def test_a_slow_host_does_not_hold_up_another() -> None:
    with FaultServer("127.0.0.1") as slow, FaultServer("127.0.0.2") as fast:
        stuck = [slow.on(f"/{number}", slow_head) for number in range(12)]
        good = [fast.on_photo(f"/{number}.jpg", PHOTO) for number in range(20)]
        settings = FetchSettings(allow_private=True, read_timeout_s=2, at_once=8, host_at_once=4)
        order = []
        for visits in download(iter([Errand(u, u) for u in stuck + good]), settings, Division(1, settings), 0):
            order += [each.errand.url for each in visits]
        assert set(order[:20]) == set(good)
        assert len(order) == 32


def test_a_host_gets_no_more_at_once_and_a_second_than_its_limits_from_all_partitions_together(
    server: FaultServer,
) -> None:
    settings = FetchSettings(allow_private=True, host_at_once=5, host_per_second=40)
    division = Division(3, settings)

    async def not_too_fast(exchange: Exchange) -> None:
        await asyncio.sleep(0.05)
        await exchange.reply(200, PHOTO)

    urls = [server.on(f"/{number}.jpg", not_too_fast) for number in range(90)]
    planned: dict[int, list[Errand]] = {}
    for url in urls:
        planned.setdefault(division.partition_of("127.0.0.1", url), []).append(Errand(url, url))
    done: list[Visit] = []

    def fetch(partition: int, errands: list[Errand]) -> None:
        for visits in download(iter(errands), settings, division, partition):
            done.extend(visits)

    threads = [threading.Thread(target=fetch, args=item) for item in planned.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(threads) == 3
    assert sum(each.answer.data == PHOTO for each in done) == 90
    assert server.seen.in_flight_max <= 5
    assert server.seen.per_second_max <= 40


def test_a_link_that_leads_to_a_host_of_another_partition_is_handed_back_with_what_it_has_behind_it() -> None:
    with FaultServer("127.0.0.1") as first, FaultServer("127.0.0.2") as second:
        settings = FetchSettings(allow_private=True, host_at_once=1)
        apart = (Division(number, settings) for number in range(2, 50))
        division = next(each for each in apart if len({each.partition_of(f"127.0.0.{n}", "u") for n in (1, 2)}) == 2)
        here, there = (division.partition_of(f"127.0.0.{number}", "u") for number in (1, 2))
        place = second.on_photo("/b.jpg", PHOTO)
        start = first.on("/a.jpg", redirect_to(place))  # type: ignore[arg-type]
        ((moved,),) = download(iter([Errand(start, start)]), settings, division, here)
        assert (moved.moved_to, moved.errand.requests, moved.errand.hops) == (place, 1, 1)
        ((found,),) = download(iter([moved.errand]), settings, division, there)
        assert found.answer.data == PHOTO
        assert found.errand.requests == 2


def test_more_links_than_are_read_ahead_all_come_back_once(server: FaultServer) -> None:
    urls = [server.url(f"/{number}") for number in range(WINDOW_LINKS + 500)]
    settings = FetchSettings(allow_private=True, host_per_second=1e6)
    found = visit_all(urls, settings)
    assert set(found) == set(urls)
    assert server.seen.requests.total() == len(urls)


def test_files_are_read_only_under_an_allowed_root(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "a b.jpg").write_bytes(PHOTO)
    (root / "empty.jpg").touch()
    (root / "large.jpg").write_bytes(b"x" * 100_001)
    (outside / "secret.jpg").write_bytes(PHOTO)
    (root / "way out.jpg").symlink_to(outside / "secret.jpg")
    (root / "loop.jpg").symlink_to(root / "loop.jpg")
    settings = FetchSettings(allowed_roots=(root,), image_max_bytes=100_000)
    expected = {
        f"file://{root}/a%20b.jpg": None,
        f"{root}/a b.jpg": None,
        f"file://{root}/missing.jpg": FetchReason.NOT_FOUND,
        f"file://{root}/empty.jpg": FetchReason.EMPTY,
        f"file://{root}/large.jpg": FetchReason.TOO_LARGE,
        f"file://{root}": FetchReason.PATH_REFUSED,
        f"file://{root}/way out.jpg": FetchReason.PATH_REFUSED,
        f"file://{root}/loop.jpg": FetchReason.PATH_REFUSED,
        f"file://{root}/../outside/secret.jpg": FetchReason.PATH_REFUSED,
        f"file://{root}/%2e%2e/outside/secret.jpg": FetchReason.PATH_REFUSED,
        f"file://{outside}/secret.jpg": FetchReason.PATH_REFUSED,
        "/dev/zero": FetchReason.PATH_REFUSED,
        f"file://{root}/{'n' * 300}.jpg": FetchReason.PATH_REFUSED,
    }
    found = visit_all(list(expected), settings)
    assert {url: each.answer.reason for url, each in found.items()} == expected


def test_a_file_that_has_not_changed_is_not_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(PHOTO)
    settings = FetchSettings(allowed_roots=(tmp_path,))
    first = visit(f"file://{path}", settings).answer
    known = Known(first.etag, None, "c1")
    assert visit(f"file://{path}", settings, known).answer.unchanged
    path.write_bytes(PHOTO + b"x")
    assert visit(f"file://{path}", settings, known).answer.data == PHOTO + b"x"


def test_objects_of_s3_are_fetched_and_looked_at_again_by_etag(s3_bucket: str) -> None:
    client = boto3.client("s3")
    client.put_object(Bucket=s3_bucket, Key="folder/a b.jpg", Body=PHOTO)
    client.put_object(Bucket=s3_bucket, Key="large.jpg", Body=b"x" * 100_001)
    url = f"s3://{s3_bucket}/folder/a b.jpg"
    others = {
        f"s3://{s3_bucket}/missing.jpg": FetchReason.NOT_FOUND,
        f"s3://{s3_bucket}/large.jpg": FetchReason.TOO_LARGE,
        "s3://no-such-bucket-here/a.jpg": FetchReason.NOT_FOUND,
    }
    found = visit_all([url, *others])
    assert found[url].answer.data == PHOTO
    assert {other: found[other].answer.reason for other in others} == others
    assert visit(url, known=Known(found[url].answer.etag, None, "c1")).answer.unchanged
