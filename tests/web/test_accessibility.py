"""axe-core finds nothing wrong, in light and dark, in each state of the page."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.web.conftest import OpenContext, OpenSearcher, Watch
from tests.web.visiting import choose, expect_found, photo_file, search_words, titles, trouble

pytestmark = pytest.mark.full


def violations(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [f"{each['id']}: {each['help']}: {[node['html'][:200] for node in each['nodes'][:3]]}" for each in found]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_state_of_the_page_shuts_anybody_out(
    open_context: OpenContext, searcher: OpenSearcher, watch: Watch, scheme: str
) -> None:
    watch.excused.append("422")
    page = open_context(color_scheme=scheme, reduced_motion="reduce").new_page()
    page.goto(searcher.url)
    expect(page.get_by_role("searchbox")).to_be_visible()
    assert violations(page) == []
    choose(page, photo_file("red"))
    expect_found(page)
    search_words(page, "blue")
    page.get_by_role("button", name="Crop", exact=True).click()
    page.get_by_label("Explain").check()
    expect(page.get_by_label("How the search was run")).to_be_visible()
    page.get_by_role("button", name="Less like this").nth(3).click()
    expect(page.locator(".chip")).to_have_count(1)
    expect_found(page)
    assert violations(page) == []
    titles(page).first.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert violations(page) == []
    page.keyboard.press("Escape")
    choose(page, {"name": "a.png", "mimeType": "image/png", "buffer": b"no photo"})
    expect(trouble(page)).to_contain_text("The photo cannot be used.")
    assert violations(page) == []
