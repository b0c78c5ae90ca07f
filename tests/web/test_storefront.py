"""<shop-lens> on a page of another origin, and keys; as docs/storefront.md says."""

import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import expect

from online.access.keys import Scope, create_key
from retrieval.store.objects import FolderStore
from tests.web.coloured_shop import run_searcher
from tests.web.conftest import OpenContext, Watch, keep_screenshot
from tests.web.visiting import choose, expect_first, expect_found, photo_file, search_words, titles, trouble

pytestmark = pytest.mark.full

STOREFRONT = """<!doctype html><html lang="en"><title>A shop</title>
<link rel="icon" href="data:,">
<style>shop-lens {{ --shop-lens-accent: rgb(136, 19, 55); }} shop-lens::part(tile) {{ border-radius: 0; }}</style>
<h1>A shop</h1>
<script type="module" src="{url}/static/shop-lens.js"></script>
<shop-lens endpoint="{url}" api-key="{key}" k="5" image-weight="0.4"></shop-lens>
"""


@dataclass(frozen=True)
class Guarded:
    """A searcher with keys that lets one storefront ask."""

    url: str
    key: str
    storefront: str


@pytest.fixture(scope="module")
def guarded(coloured_store: FolderStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    pages: dict[str, bytes] = {}

    class Storefront(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(pages["/"])

        def log_message(self, *_: object) -> None:
            """Nothing is said."""

    shop = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Storefront)
    threading.Thread(target=shop.serve_forever, daemon=True).start()
    origin = f"http://127.0.0.1:{shop.server_port}"
    sent, key = create_key([Scope.SEARCH, Scope.CLICK], "storefront")
    folder = tmp_path_factory.mktemp("guarded")
    settings = {"SHOPLENS_API_KEYS": key.line, "SHOPLENS_CORS_ORIGINS": origin}
    with run_searcher(coloured_store, folder, settings) as url:
        pages["/"] = STOREFRONT.format(url=url, key=sent).encode()
        yield Guarded(url, sent, origin)
    shop.shutdown()
    shop.server_close()


@pytest.fixture(autouse=True)
def _hosts(watch: Watch, guarded: Guarded) -> None:
    watch.hosts |= {guarded.url, guarded.storefront}


def test_two_lines_bring_it_to_a_page_of_another_origin(open_context: OpenContext, guarded: Guarded) -> None:
    page = open_context().new_page()
    page.goto(guarded.storefront)
    choose(page, photo_file("green"))
    expect_first(page, "Green")
    expect_found(page, "5 products")
    photo = page.locator(".tile img").first
    expect(photo).to_have_js_property("complete", True)
    assert photo.evaluate("image => image.naturalWidth") > 0
    page.get_by_role("button", name="Show more").click()
    expect(titles(page)).to_have_count(10)
    search_words(page, "blue")
    expect(page.get_by_role("slider")).to_have_value("40")
    keep_screenshot(page, "storefront")


def test_the_shop_decides_what_a_chosen_product_does(open_context: OpenContext, guarded: Guarded) -> None:
    page = open_context().new_page()
    page.goto(guarded.storefront)
    page.evaluate("""() => {
      window.chosen = [];
      document.querySelector("shop-lens").addEventListener("product-selected", (event) => {
        event.preventDefault();
        window.chosen.push(event.detail);
      });
    }""")
    search_words(page, "green")
    with page.expect_response("**/click") as clicked:
        titles(page).nth(1).click()
    assert clicked.value.status == 204
    expect(page.get_by_role("dialog")).to_have_count(0)
    (chosen,) = page.evaluate("window.chosen")
    assert (chosen["product_id"].split("-")[0], chosen["position"]) == ("green", 1)
    assert chosen["result"]["title"].startswith("Green")


def test_the_shop_decides_how_it_looks(open_context: OpenContext, guarded: Guarded) -> None:
    page = open_context().new_page()
    page.goto(guarded.storefront)
    search_words(page, "green")
    style = "(part, name) => getComputedStyle(document.querySelector('shop-lens').shadowRoot.querySelector(part))[name]"
    expect_first(page, "Green")
    assert page.evaluate(f"({style})('.go', 'backgroundColor')") == "rgb(136, 19, 55)"
    assert page.evaluate(f"({style})('.tile', 'borderTopLeftRadius')") == "0px"


def test_the_page_asks_for_a_key_and_keeps_it_in_the_tab(
    open_context: OpenContext, guarded: Guarded, watch: Watch
) -> None:
    watch.excused.append("401")
    context = open_context()
    page = context.new_page()
    page.goto(guarded.url)
    search_words(page, "green")
    expect(trouble(page)).to_contain_text("An API key is needed.")
    expect(page.get_by_label("API key")).to_be_focused()
    keep_screenshot(page, "key")
    page.keyboard.type("shoplens_000000000000_wrong")
    page.keyboard.press("Enter")
    expect(trouble(page)).to_contain_text("No such API key.")
    page.get_by_label("API key").fill(guarded.key)
    page.keyboard.press("Enter")
    expect_first(page, "Green")
    page.reload()
    expect_first(page, "Green")
    assert context.storage_state()["origins"] == []  # nothing outlives the tab


def test_a_storefront_is_never_asked_for_a_key(
    open_context: OpenContext, guarded: Guarded, watch: Watch, tmp_path: Path
) -> None:
    watch.excused.append("401")
    page = open_context().new_page()
    page.goto(guarded.storefront)
    page.locator("shop-lens").evaluate("lens => lens.removeAttribute('api-key')")
    search_words(page, "green")
    expect(trouble(page)).to_contain_text("An API key is needed.")
    expect(page.get_by_label("API key")).to_have_count(0)
