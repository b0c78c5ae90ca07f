"""What the shop answers, asked without a socket: faults, validators, odd requests, counts."""

import pytest

from demo.connection import parse_head
from demo.replies import Request, file_reply
from demo.shelf import FolderShelf, Stored, content_etag
from demo.shop import ServerConfig, Shop
from demo.traffic import Traffic


@pytest.fixture
def shop(tmp_path):
    (tmp_path / "photos").mkdir()
    for name in ("good", "slow", "cut", "busy", "down", "old-moved"):
        (tmp_path / "photos" / f"{name}.jpg").write_bytes(b"x" * 100)
    faults = {"slow": "slow", "cut": "truncated_body", "busy": "busy_once", "down": "unavailable_once",
              "old": "moved", "loop": "redirect_loop", "dead": "dead", "gone": "gone"}  # fmt: skip
    lines = [f"photos/{name}.jpg,,{kind}," for name, kind in faults.items()]
    (tmp_path / "faults.csv").write_text("\n".join(["path,row,kind,reason", *lines]) + "\n")
    return Shop(ServerConfig(tmp_path))


def get(shop, name, **headers):
    return shop.answer(Request("GET", f"/photos/{name}.jpg", "", headers))


@pytest.mark.parametrize(("name", "status"), [("good", 200), ("dead", 404), ("gone", 410), ("none", 404)])
def test_a_path_has_its_status(shop, name, status):
    assert get(shop, name).status == status


@pytest.mark.parametrize(("name", "status"), [("busy", 429), ("down", 503)])
def test_a_passing_fault_asks_to_come_back_and_is_then_gone(shop, name, status):
    first = get(shop, name)
    assert (first.status, dict(first.headers)["Retry-After"]) == (status, "1")
    assert get(shop, name).status == 200


def test_redirects_lead_on_or_in_a_circle(shop):
    assert dict(get(shop, "old").headers)["Location"] == "/photos/old-moved.jpg"
    assert dict(get(shop, "loop").headers)["Location"] == "/photos/loop.jpg"


def test_a_slow_photo_waits_and_a_cut_one_breaks_off(shop):
    assert get(shop, "slow").delay_s == 300
    cut = get(shop, "cut")
    assert cut.breaks_off
    assert b"Content-Length: 100\r\n" in cut.encoded("GET", "now", keep_alive=False)
    assert len(cut.encoded("GET", "now", keep_alive=False).partition(b"\r\n\r\n")[2]) == 60


def test_paths_that_lead_out_of_the_folder_are_not_found(shop, tmp_path):
    (tmp_path.parent / "secret.txt").write_text("secret")
    assert shop.answer(Request("GET", "/../secret.txt", "", {})).status == 404
    assert shop.answer(Request("GET", "/photos", "", {})).status == 404
    assert shop.answer(Request("GET", "/pho\0tos", "", {})).status == 404
    assert shop.answer(Request("DELETE", "/photos/good.jpg", "", {})).status == 405


STORED = Stored(b"abc", content_etag(b"abc"), 1_700_000_000.0, "image/jpeg")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"if-none-match": STORED.etag}, 304),
        ({"if-none-match": f'"other", W/{STORED.etag}'}, 304),
        ({"if-none-match": '"other"'}, 200),
        ({"if-modified-since": STORED.last_modified}, 304),
        ({"if-modified-since": "Mon, 01 Jan 2001 00:00:00 GMT"}, 200),
        ({"if-modified-since": "yesterday"}, 200),
        ({"if-none-match": '"other"', "if-modified-since": STORED.last_modified}, 200),
    ],
)
def test_a_client_that_has_the_photo_gets_304(headers, status):
    assert file_reply(Request("GET", "/x", "", headers), STORED).status == status


def test_a_file_that_changes_gets_another_etag(tmp_path):
    shelf = FolderShelf(tmp_path)
    (tmp_path / "a").write_bytes(b"one")
    first = shelf.find("a")
    (tmp_path / "a").write_bytes(b"three")
    assert first.etag != shelf.find("a").etag


def test_the_cache_stays_below_its_limit(tmp_path):
    shelf = FolderShelf(tmp_path, cache_bytes=250)
    for name in "abcd":
        (tmp_path / name).write_bytes(b"x" * 100)
        assert shelf.find(name).body == b"x" * 100
    assert shelf._cache.size_bytes <= 250


@pytest.mark.parametrize("head", [b"", b"GET /", b"GET / SPDY/1", b"GET http://other/ HTTP/1.1", b"\xff\xfe\x00"])
def test_a_head_that_is_no_http_is_refused(head):
    assert parse_head(head) is None


def test_a_head_is_read_with_its_escapes():
    request = parse_head(b"GET /a%20b?c=d HTTP/1.0\r\nHost: shop:80\r\nIf-None-Match:  x ")
    assert (request.path, request.query, request.host) == ("/a b", "c=d", "shop:80")
    assert request.headers["if-none-match"] == "x"
    assert not request.keeps_alive


def test_traffic_knows_the_most_requests_at_once_and_in_a_second():
    traffic = Traffic()
    for path, now_s in (("/a/1", 0.0), ("/a/2", 0.5), ("/b/1", 0.9)):
        traffic.begin("one", path, now_s)
    for path in ("/a/1", "/a/2", "/b/1"):
        traffic.end("one", path, 200, 10, full=True)
    traffic.begin("one", "/a/1", 1.6)
    traffic.end("one", "/a/1", 200, 10, full=True)
    traffic.begin("two", "/a/2", 1.7)
    traffic.end("two", "/a/2", 304, 0, full=False)
    summary = traffic.summary()
    assert summary["by_host"]["one"] == {"requests": 4, "in_flight_max": 3, "per_second_max": 3}
    assert summary["by_host"]["two"] == {"requests": 1, "in_flight_max": 1, "per_second_max": 1}
    assert summary["sent_in_full_again"] == {"/a/1": 2}
    assert summary["by_prefix"]["/a"] == {"requests": 4, "full_bodies": 3, "not_modified": 1}
    traffic.reset()
    assert traffic.summary()["requests"] == 0
