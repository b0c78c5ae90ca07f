"""Odd orders of events, answers that are cut short, and products that are not as one expects them."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.online.tiny_shop import COLOURS, photo_of
from tests.web.conftest import OpenSearcher, Watch
from tests.web.visiting import choice, choose, expect_first, expect_found, photo_file, search_words, titles, trouble

pytestmark = pytest.mark.full

SLOW_FIRST_PHOTO = """() => {
  const read = window.createImageBitmap;
  let first = true;
  window.createImageBitmap = async (...given) => {
    if (first) {
      first = false;
      await new Promise((resolve) => { window.goOn = resolve; });
    }
    window.readPhotos = (window.readPhotos || 0) + 1;
    return read(...given);
  };
}"""
PASTE_WITH_WORDS = """(photo) => {
  const bytes = Uint8Array.from(atob(photo), (letter) => letter.charCodeAt(0));
  const copied = new DataTransfer();
  copied.items.add(new File([bytes], "image.png", { type: "image/png" }));
  copied.setData("text/plain", "red");
  const field = document.querySelector("shop-lens").shadowRoot.querySelector("[type=search]");
  const event = { clipboardData: copied, bubbles: true, cancelable: true, composed: true };
  return field.dispatchEvent(new ClipboardEvent("paste", event));
}"""


def answer_otherwise(page: Page, change: Callable[[dict[str, Any]], None]) -> None:
    """Answers to searches come as the searcher gives them, changed."""

    def fulfil(route: Route) -> None:
        answer = route.fetch()
        body = answer.json()
        change(body)
        route.fulfill(response=answer, body=json.dumps(body))

    page.route("**/search", fulfil)


def test_an_element_that_its_page_moves_while_it_searches_shows_what_was_found(
    page: Page, searcher: OpenSearcher
) -> None:
    (searcher.folder / "go").unlink(missing_ok=True)
    search_words(page, "wait for red")
    expect(page.locator("shop-lens .status")).to_have_text("Searching…")
    page.locator("shop-lens").evaluate("lens => document.body.append(lens)")
    (searcher.folder / "go").touch()
    expect_first(page, "Red")
    expect(page.locator(".grid")).to_have_attribute("aria-busy", "false")
    (searcher.folder / "go").unlink()


def test_of_two_photos_the_one_chosen_last_is_searched_for(page: Page) -> None:
    page.evaluate(SLOW_FIRST_PHOTO)
    choose(page, photo_file("red"))
    choose(page, photo_file("green"))
    expect_first(page, "Green")
    page.evaluate("window.goOn()")
    page.wait_for_function("window.readPhotos === 2")
    page.wait_for_timeout(200)
    expect_found(page, "24 products")
    expect_first(page, "Green")


def test_back_leads_to_searches_of_before_a_reload(page: Page) -> None:
    for words in ("red", "green"):
        search_words(page, words)
        expect_first(page, words.capitalize())
    page.reload()
    expect_first(page, "Green")
    search_words(page, "blue")
    expect_first(page, "Blue")
    for words in ("green", "red"):
        page.go_back()
        expect_first(page, words.capitalize())


def test_back_to_an_address_leaves_what_was_chosen_after_it(page: Page) -> None:
    search_words(page, "red")
    expect_first(page, "Red")
    page.get_by_role("button", name="Closer to this: Red").first.click()
    expect(page.locator(".chip.liked")).to_have_count(1)
    choice(page, "shirt").check()
    expect(page.locator("summary")).to_have_text("Filters (1)")
    page.go_back()
    expect(page.locator(".welcome")).to_be_visible()
    expect(page.locator(".grid")).to_be_hidden()
    search_words(page, "blue")
    expect_first(page, "Blue")
    expect(page.locator("summary")).to_have_text("Filters")


def test_an_address_with_blanks_for_words_asks_nothing(page: Page, searcher: OpenSearcher) -> None:
    page.goto(f"{searcher.url}/?text=%20")
    expect(page.locator(".welcome")).to_be_visible()
    expect(trouble(page)).to_have_text("")


def test_an_answer_that_is_cut_short_can_be_asked_for_again(page: Page, watch: Watch) -> None:
    watch.excused.append("ERR_")
    page.route("**/search", lambda route: route.fulfill(content_type="application/json", body='{"results": ['))
    search_words(page, "red")
    expect(trouble(page)).to_contain_text("The searcher cannot be reached.")
    page.unroute("**/search")
    page.get_by_role("button", name="Try again").click()
    expect_first(page, "Red")


@pytest.mark.parametrize("body", ["{}", "[]", "null", '{"results": null}', "<html>Log in</html>"])
def test_an_answer_of_something_else_leaves_nobody_waiting(page: Page, body: str) -> None:
    page.route("**/search", lambda route: route.fulfill(status=200, content_type="application/json", body=body))
    search_words(page, "red")
    expect(trouble(page)).to_contain_text("The searcher cannot be reached")
    expect(page.locator("shop-lens .status")).to_have_text("")


def test_a_photo_that_a_proxy_finds_too_large_is_said_to_be(page: Page, watch: Watch) -> None:
    watch.excused.append("status of 413")
    page.route("**/search", lambda route: route.fulfill(status=413, content_type="text/html", body="<h1>413</h1>"))
    choose(page, photo_file("red"))
    expect(trouble(page)).to_contain_text("Choose a smaller one.")


def test_words_that_were_copied_with_a_picture_are_pasted_into_the_field(page: Page) -> None:
    photo = base64.b64encode(photo_of(COLOURS["blue"])).decode()
    is_left_to_the_field = page.evaluate(PASTE_WITH_WORDS, photo)
    assert is_left_to_the_field
    expect(page.locator(".welcome")).to_be_visible()


def test_prices_can_be_given_in_any_currency_of_the_shop(page: Page) -> None:
    def sell_in_dollars_too(answer: dict[str, Any]) -> None:
        for facet in answer["facets"]:
            if facet["field"] == "price":
                facet["ranges"].append({"currency": "USD", "min": 3, "max": 7, "count": 1})

    answer_otherwise(page, sell_in_dollars_too)
    search_words(page, "red")
    expect_found(page, "24 products")
    currency = page.get_by_label("Currency")
    currency.focus()
    currency.select_option("USD")
    expect(page.get_by_label("Lowest price in USD")).to_have_attribute("placeholder", "3")
    expect(currency).to_be_focused()
    with page.expect_request("**/search") as asked:
        page.get_by_label("Highest price in USD").fill("5")
        page.keyboard.press("Tab")
    question = asked.value.post_data_json
    assert question is not None
    assert question["filters"] == {"price": {"max": 5, "currency": "USD"}}
    expect(page.locator(".grid")).to_have_attribute("aria-busy", "false")


def test_a_price_that_is_typed_while_an_answer_comes_is_kept(page: Page) -> None:
    search_words(page, "red")
    expect_first(page, "Red")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/search", hold)
    page.get_by_label("Lowest price").click()
    with page.expect_request("**/search"):
        page.keyboard.type("10")
        page.keyboard.press("Tab")
        page.keyboard.type("4")
    held[0].continue_()
    expect(page.locator("summary")).to_have_text("Filters (1)")
    page.keyboard.type("0")
    with page.expect_request("**/search") as asked:
        page.keyboard.press("Enter")
    price = json.loads(asked.value.post_data or "{}")["filters"]["price"]
    assert (price["min"], price["max"]) == (10, 40)


def test_a_long_title_does_not_stretch_its_row(page: Page) -> None:
    def name_at_length(answer: dict[str, Any]) -> None:
        answer["results"][0]["title"] = "A dress of many words " * 40

    answer_otherwise(page, name_at_length)
    search_words(page, "red")
    expect_found(page, "24 products")
    long, short = (titles(page).nth(place).bounding_box() for place in (0, 1))
    assert long is not None
    assert short is not None
    assert long["height"] < 4 * short["height"]
    page.get_by_role("button", name="A dress of many words").first.click()
    expect(page.get_by_role("dialog").get_by_role("heading")).to_have_text("A dress of many words " * 40)


def test_a_product_with_much_to_say_can_be_closed_from_its_end(page: Page) -> None:
    def describe_at_length(answer: dict[str, Any]) -> None:
        answer["results"][0]["attributes"] = {"care": "Wash it by hand. " * 400}

    answer_otherwise(page, describe_at_length)
    search_words(page, "red")
    titles(page).first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Why is it here?").scroll_into_view_if_needed()
    expect(dialog.get_by_role("button", name="Close")).to_be_in_viewport()
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_be_hidden()
