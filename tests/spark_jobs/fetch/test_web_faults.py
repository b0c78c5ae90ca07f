"""What can go wrong on the wire, byte by byte, and the reason that each fault gets."""

import asyncio
import gzip
import socketserver
import threading

import pytest

from schemas.reasons import FetchReason
from spark_jobs.fetch.settings import FetchSettings
from tests.spark_jobs.fetch.fault_server import Exchange, FaultServer, Script, head, silent
from tests.spark_jobs.fetch.visits import PHOTO, visit, visit_all

pytestmark = pytest.mark.full

BOMB = gzip.compress(b"\0" * 30_000_000)


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
        (silent, FetchReason.READ_TIMEOUT), (slow_body, FetchReason.READ_TIMEOUT),
        (cut_short, FetchReason.TRUNCATED), (cut_short_in_chunks, FetchReason.TRUNCATED),
        (announced_too_large, FetchReason.TOO_LARGE), (too_large_unannounced, FetchReason.TOO_LARGE),
        (gzip_bomb, FetchReason.TOO_LARGE), (broken_gzip, FetchReason.TRUNCATED), (empty, FetchReason.EMPTY),
        (no_http, FetchReason.HTTP_OTHER), (reset_at_once, FetchReason.RESET), (hangs_up, FetchReason.RESET),
    ],
)  # fmt: skip
def test_each_fault_on_the_wire_has_its_reason(server: FaultServer, script: Script, reason: FetchReason) -> None:
    assert visit(server.on("/a.jpg", script)).answer.reason == reason


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
