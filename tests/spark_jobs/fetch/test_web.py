"""What web servers answer, and what is made of it: photos, validators, statuses, waits."""

import gzip

import pytest

from schemas.reasons import FetchReason
from spark_jobs.fetch.answers import Known
from tests.spark_jobs.fetch.fault_server import Exchange, FaultServer
from tests.spark_jobs.fetch.visits import PHOTO, visit

pytestmark = pytest.mark.full


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
        (418, FetchReason.HTTP_4XX, 1), (408, FetchReason.READ_TIMEOUT, 1), (500, FetchReason.HTTP_500, 3), (503, FetchReason.HTTP_503, 3),
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


def test_a_compressed_photo_is_unpacked(server: FaultServer) -> None:
    async def compressed(exchange: Exchange) -> None:
        await exchange.reply(200, gzip.compress(PHOTO), Content_Encoding="gzip")

    assert visit(server.on("/a.jpg", compressed)).answer.data == PHOTO
    assert server.seen.headers["/a.jpg"]["accept-encoding"] == "identity"


def test_a_photo_may_come_with_a_long_header(server: FaultServer) -> None:
    url = server.on_photo("/a.jpg", PHOTO, Content_Security_Policy="img-src " + "x" * 30_000)
    assert visit(url).answer.data == PHOTO
