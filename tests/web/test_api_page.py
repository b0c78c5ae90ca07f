"""The API to try, without any other host."""

import pytest
from playwright.sync_api import Page, expect

from tests.web.conftest import OpenSearcher, Watch, keep_screenshot
from tests.web.visiting import photo_file

pytestmark = pytest.mark.full


def test_the_api_page_shows_every_operation_and_asks_the_searcher(page: Page, searcher: OpenSearcher) -> None:
    page.goto(f"{searcher.url}/docs")
    expect(page.locator(".opblock")).to_have_count(6)
    health = page.locator(".opblock", has_text="/health")
    health.locator(".opblock-summary-control").click()
    health.get_by_role("button", name="Execute").click()
    expect(health.locator(".live-responses-table")).to_contain_text('"alive"')
    keep_screenshot(page, "api")


def test_a_search_can_be_tried_as_it_stands_and_with_words_and_a_photo(
    page: Page, searcher: OpenSearcher, watch: Watch
) -> None:
    watch.excused.append("JsonSchema_string_binary")  # Swagger UI looks for it before it takes what it has for files
    page.goto(f"{searcher.url}/docs")
    search = page.locator(".opblock", has_text="/search")
    search.locator(".opblock-summary-control").click()
    answer = search.locator(".live-responses-table .response").first

    def ask() -> None:
        with page.expect_response("**/search") as answered:
            search.get_by_role("button", name="Execute").click()
        assert answered.value.status == 200, answered.value.text()
        expect(answer).to_contain_text('"product_id"')

    ask()
    search.get_by_label("Request content type").select_option("multipart/form-data")
    words, photos = (search.locator(f"[data-property-name={name}]") for name in ("text", "image"))
    words.get_by_role("textbox").fill("blue")
    ask()
    words.get_by_role("textbox").fill("")
    photos.get_by_role("button").click()
    photos.locator("input[type=file]").set_input_files(photo_file("green"))
    ask()
    expect(answer).to_contain_text('"green"')
