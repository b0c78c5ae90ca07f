"""A real Chromium, driven by Playwright. Whatever a page asks of another host, or says is wrong, fails its test."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from retrieval.store.objects import FolderStore
from tests.servers import PROJECT_ROOT, find_program
from tests.web.coloured_shop import make_store, run_searcher

SCREENSHOTS = PROJECT_ROOT / "test-output" / "screenshots"
PATIENCE_MS = 15_000
# Without the last five, Chromium asks hosts of its own, which a closed network refuses.
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-pings",
]  # fmt: skip


@pytest.fixture(scope="session")
def coloured_store(tmp_path_factory: pytest.TempPathFactory) -> FolderStore:
    return make_store(tmp_path_factory.mktemp("coloured"))


@dataclass(frozen=True)
class OpenSearcher:
    """A searcher without keys. `folder`/go lets waiting words go on."""

    url: str
    folder: Path


@pytest.fixture(scope="session")
def searcher(coloured_store: FolderStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenSearcher]:
    folder = tmp_path_factory.mktemp("searcher")
    with run_searcher(coloured_store, folder) as url:
        yield OpenSearcher(url, folder)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = find_program("chromium")
    if program is None:
        pytest.skip("chromium is missing: apt-get install chromium")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@dataclass
class Watch:
    """What pages asked and complained of; `excused` are words of complaints that a test provokes."""

    hosts: set[str]
    excused: list[str] = field(default_factory=list)
    strange_requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def follow(self, page: Page) -> None:
        page.on("request", lambda request: self._note(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on(
            "console", lambda said: self.complaints.append(said.text) if said.type in ("error", "warning") else None
        )

    def _note(self, url: str) -> None:
        if not url.startswith(("blob:", "data:")) and not any(url.startswith(host + "/") for host in self.hosts):
            self.strange_requests.append(url)

    def check(self) -> None:
        assert self.strange_requests == []
        assert [said for said in self.complaints if not any(words in said for words in self.excused)] == []


@pytest.fixture
def watch(searcher: OpenSearcher) -> Iterator[Watch]:
    watch = Watch({searcher.url})
    yield watch
    watch.check()


OpenContext = Callable[..., BrowserContext]


@pytest.fixture
def open_context(browser: Browser, watch: Watch) -> Iterator[OpenContext]:
    contexts: list[BrowserContext] = []

    def open_one(**options: Any) -> BrowserContext:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, "locale": "en-GB", **options})
        context.set_default_timeout(PATIENCE_MS)
        context.on("page", watch.follow)
        contexts.append(context)
        return context

    yield open_one
    for context in contexts:
        context.close()


@pytest.fixture
def page(open_context: OpenContext, searcher: OpenSearcher) -> Page:
    """The search page, as it opens."""
    page = open_context().new_page()
    page.goto(searcher.url)
    return page


def keep_screenshot(page: Page, name: str, *, whole: bool = False) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=whole)
