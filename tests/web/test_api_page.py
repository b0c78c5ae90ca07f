"""The API to try, without any other host."""

import pytest
from playwright.sync_api import Page, expect

from tests.web.conftest import OpenSearcher, keep_screenshot

pytestmark = pytest.mark.full


def test_the_api_page_shows_every_operation_and_asks_the_searcher(page: Page, searcher: OpenSearcher) -> None:
    page.goto(f"{searcher.url}/docs")
    expect(page.locator(".opblock")).to_have_count(6)
    health = page.locator(".opblock", has_text="/health")
    health.locator(".opblock-summary-control").click()
    health.get_by_role("button", name="Execute").click()
    expect(health.locator(".live-responses-table")).to_contain_text('"alive"')
    keep_screenshot(page, "api")
