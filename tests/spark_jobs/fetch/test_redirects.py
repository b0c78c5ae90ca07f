"""Where redirects may lead, how far, and what stays behind."""

import pytest

from schemas.reasons import FetchReason
from spark_jobs.fetch.answers import Errand
from spark_jobs.fetch.downloader import download
from spark_jobs.fetch.lanes import Division
from spark_jobs.fetch.settings import FetchSettings
from tests.spark_jobs.fetch.fault_server import FaultServer, redirect_to
from tests.spark_jobs.fetch.visits import PHOTO, visit

pytestmark = pytest.mark.full


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed_and_noted(server: FaultServer, status: int) -> None:
    target = server.on_photo("/b.jpg", PHOTO)
    found = visit(server.on("/a.jpg", redirect_to("/b.jpg", status)))
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
        ("http://shop.example:99999/a.jpg", FetchReason.REDIRECT_INVALID),
    ],
)
def test_a_redirect_to_where_it_must_not_go_is_refused(server: FaultServer, location: str, reason: FetchReason) -> None:
    found = visit(server.on("/a.jpg", redirect_to(location)))
    assert found.answer.reason == reason


def test_five_redirects_are_followed_and_six_are_not(server: FaultServer) -> None:
    for number in range(6):
        server.on(f"/{number}", redirect_to(f"/{number + 1}"))
    server.on_photo("/6", PHOTO)
    assert visit(server.url("/1")).answer.data == PHOTO
    assert visit(server.url("/0")).answer.reason == FetchReason.REDIRECT_LIMIT


def test_credentials_of_a_link_stay_with_its_host(server: FaultServer) -> None:
    server.on("/a.jpg", redirect_to("/b.jpg"))
    server.on_photo("/b.jpg", PHOTO)
    visit(server.url("/a.jpg").replace("//", "//user:secret@"))
    assert "authorization" in server.seen.headers["/a.jpg"]
    assert "authorization" not in server.seen.headers["/b.jpg"]


def test_a_link_that_leads_to_a_host_of_another_partition_is_handed_back_with_what_it_has_behind_it() -> None:
    with FaultServer("127.0.0.1") as first, FaultServer("127.0.0.2") as second:
        settings = FetchSettings(allow_private=True, host_at_once=1)
        apart = (Division(number, settings) for number in range(2, 50))
        division = next(each for each in apart if len({each.partition_of(f"127.0.0.{n}", "u") for n in (1, 2)}) == 2)
        here, there = (division.partition_of(f"127.0.0.{number}", "u") for number in (1, 2))
        place = second.on_photo("/b.jpg", PHOTO)
        start = first.on("/a.jpg", redirect_to(place))
        ((moved,),) = download(iter([Errand(start, start)]), settings, division, here)
        assert (moved.moved_to, moved.errand.requests, moved.errand.hops) == (place, 1, 1)
        ((found,),) = download(iter([moved.errand]), settings, division, there)
        assert found.answer.data == PHOTO
        assert found.errand.requests == 2
