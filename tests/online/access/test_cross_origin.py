"""Which other sites' pages may ask from a browser."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from flask.testing import FlaskClient

from online.access.cross_origin import CrossOrigin
from online.access.keys import Scope, create_key
from online.access.limit_settings import LimitSettings
from online.app import create_app
from online.config import SearcherConfig
from schemas.errors import Misconfigured
from tests.online.tiny_shop import MeanColourEncoder

SHOP = "https://shop.example"
SENT, STORED = create_key([Scope.SEARCH])
ASKED = "authorization, content-type, x-api-key, x-request-id"
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": ASKED}
Opened = Callable[..., FlaskClient]


@pytest.fixture
def opened(config: SearcherConfig) -> Iterator[Opened]:
    """Makes a client of a ready searcher with a key, for pages of the given origins."""
    apps = []

    def open_to(*origins: str, credentials: bool = False, rate_limit: str = "") -> FlaskClient:
        settings = replace(
            config, api_keys=(STORED,), cross_origin=CrossOrigin(origins, credentials), limits=LimitSettings(rate_limit)
        )
        apps.append(create_app(settings, lambda folder: MeanColourEncoder(), watch=False))
        apps[-1].extensions["searcher"].watcher.look()
        return apps[-1].test_client()

    yield open_to
    for app in apps:
        app.extensions["searcher"].spool.close()


def allowed(headers: object) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.startswith("Access-Control-")}  # type: ignore[attr-defined]


def test_a_page_of_the_shop_may_ask_and_read(opened: Opened) -> None:
    headers = {"Origin": SHOP, "Authorization": f"Bearer {SENT}"}
    answer = opened(SHOP).post("/search", json={"text": "red"}, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == SHOP
    assert "X-Request-ID" in answer.headers["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert "Origin" in answer.headers["Vary"]


def test_its_browser_asks_first_and_needs_no_key_for_that(opened: Opened) -> None:
    answer = opened(SHOP).options("/search", headers={"Origin": SHOP, **PREFLIGHT})
    assert (answer.status_code, answer.data) == (200, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == SHOP
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert answer.headers["Access-Control-Allow-Headers"] == ASKED
    assert int(answer.headers["Access-Control-Max-Age"]) > 0


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "http://shop.example", f"{SHOP}:8443", f"{SHOP}.evil.example", "null", f"{SHOP}/", ""],
)
def test_a_page_of_another_origin_may_not(opened: Opened, origin: str) -> None:
    client = opened(SHOP)
    headers = {"Origin": origin, "Authorization": f"Bearer {SENT}"}
    answers = [
        client.options("/search", headers={"Origin": origin, **PREFLIGHT}),
        client.post("/search", json={"text": "red"}, headers=headers),
    ]
    for answer in answers:
        assert allowed(answer.headers) == {}
        assert "Origin" in answer.headers["Vary"]  # a shared cache must not hand it to the shop's page


def test_unless_configured_no_page_of_another_site_may(opened: Opened) -> None:
    client = opened()
    assert allowed(client.options("/search", headers={"Origin": SHOP, **PREFLIGHT}).headers) == {}
    assert allowed(client.get("/ready", headers={"Origin": SHOP}).headers) == {}


def test_a_header_that_nobody_needs_is_not_allowed(opened: Opened) -> None:
    asking = {"Origin": SHOP, **PREFLIGHT, "Access-Control-Request-Headers": "content-type, x-forwarded-for"}
    answer = opened(SHOP).options("/search", headers=asking)
    assert answer.headers["Access-Control-Allow-Headers"] == "content-type"


def test_one_of_several_origins_is_told_about_itself_alone(opened: Opened) -> None:
    other = "https://[::1]:8443"
    client = opened(SHOP, other)
    for origin in (SHOP, other):
        answer = client.get("/ready", headers={"Origin": origin})
        assert answer.headers.getlist("Access-Control-Allow-Origin") == [origin]
    assert allowed(client.get("/ready", headers={"Origin": "https://[::1]:8444"}).headers) == {}
    assert allowed(client.get("/ready").headers) == {}


def test_errors_can_be_read_too(opened: Opened) -> None:
    client = opened(SHOP, rate_limit="1/hour")
    key = {"Origin": SHOP, "Authorization": f"Bearer {SENT}"}
    answers = [
        client.post("/search", json={"text": "red"}, headers=headers) for headers in ({"Origin": SHOP}, key, key)
    ]
    assert [answer.status_code for answer in answers] == [401, 200, 429]
    for answer in (*answers, client.get("/nothing", headers=key)):
        assert answer.headers["Access-Control-Allow-Origin"] == SHOP
    assert "Retry-After" in answers[2].headers["Access-Control-Expose-Headers"]


def test_everybody_may_where_it_is_configured(opened: Opened) -> None:
    answer = opened("*").options("/search", headers={"Origin": "https://anyone.example", **PREFLIGHT})
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_cookies_come_along_only_where_it_is_configured(opened: Opened) -> None:
    answer = opened(SHOP, credentials=True).get("/ready", headers={"Origin": SHOP})
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert answer.headers["Access-Control-Allow-Origin"] == SHOP


def test_a_plain_options_request_is_no_preflight(opened: Opened) -> None:
    answer = opened(SHOP).options("/search", headers={"Origin": SHOP})
    assert answer.status_code == 200
    assert "POST" in answer.headers["Allow"]


def test_origins_are_read_from_a_list() -> None:
    read = CrossOrigin.from_env({"SHOPLENS_CORS_ORIGINS": f"{SHOP}, http://localhost:3000,https://[::1]:8443"})
    assert read.origins == (SHOP, "http://localhost:3000", "https://[::1]:8443")
    assert CrossOrigin.from_env({}) == CrossOrigin((), False)


@pytest.mark.parametrize(
    ("origins", "credentials", "said"),
    [
        (f"{SHOP}/", "", "without a path"),
        ("shop.example", "", "no origin"),
        ("null", "", "no origin"),
        ("https://*.shop.example", "", "no origin"),
        ("https://shop.example:99999", "", "no origin"),
        ("https://shop.example:0", "", "no origin"),
        (f"*,{SHOP}", "", "stands alone"),
        ("*", "yes", "must name each origin"),
        (SHOP, "perhaps", "yes or no"),
    ],
)
def test_a_wrong_setting_is_named(origins: str, credentials: str, said: str) -> None:
    with pytest.raises(Misconfigured, match="SHOPLENS_CORS") as refused:
        CrossOrigin.from_env({"SHOPLENS_CORS_ORIGINS": origins, "SHOPLENS_CORS_CREDENTIALS": credentials})
    assert said in str(refused.value)
