"""What a visitor does on the search page, and what a visitor sees."""

import io

from PIL import Image
from playwright.sync_api import FilePayload, Locator, Page, expect

from tests.online.tiny_shop import COLOURS, photo_of


def photo_file(colour: str, name: str = "photo.png") -> FilePayload:
    return {"name": name, "mimeType": "image/png", "buffer": photo_of(COLOURS[colour], size=(400, 300))}


def two_coloured_file(left: str, right: str) -> FilePayload:
    """400 × 300 pixels, one half of each colour."""
    image = Image.new("RGB", (400, 300), COLOURS[left])
    image.paste(COLOURS[right], (200, 0, 400, 300))
    sink = io.BytesIO()
    image.save(sink, "PNG")
    return {"name": "two.png", "mimeType": "image/png", "buffer": sink.getvalue()}


def choose(page: Page, file: FilePayload) -> None:
    page.locator("input[type=file]").first.set_input_files(file)


def search_words(page: Page, words: str) -> None:
    page.get_by_role("searchbox").fill(words)
    page.keyboard.press("Enter")


def titles(page: Page) -> Locator:
    return page.locator(".tile .title")


def expect_first(page: Page, words: str) -> None:
    expect(titles(page).first).to_contain_text(words)


def expect_found(page: Page, said: str = "nearest first") -> None:
    expect(page.locator("shop-lens .status")).to_contain_text(said)


def choice(page: Page, name: str) -> Locator:
    """A filter's checkbox."""
    return page.get_by_role("checkbox", name=name)


def trouble(page: Page) -> Locator:
    """What a screen reader is told at once."""
    return page.locator("shop-lens .found > [role=alert]")
