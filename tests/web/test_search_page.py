"""The search page in a real browser, as its visitors use it."""

import base64
import re
from pathlib import Path

import pytest
from playwright.sync_api import FilePayload, Page, expect

from tests.online.tiny_shop import COLOURS, photo_of
from tests.web.conftest import OpenContext, OpenSearcher, Watch, keep_screenshot
from tests.web.visiting import (
    choice,
    choose,
    expect_first,
    expect_found,
    photo_file,
    search_words,
    titles,
    trouble,
    two_coloured_file,
)

pytestmark = pytest.mark.full

PASTE = """([name, photo]) => {
  const bytes = Uint8Array.from(atob(photo), (letter) => letter.charCodeAt(0));
  const carried = new DataTransfer();
  carried.items.add(new File([bytes], "photo.png", { type: "image/png" }));
  const event = name === "paste"
    ? new ClipboardEvent("paste", { clipboardData: carried, bubbles: true, cancelable: true })
    : new DragEvent(name, { dataTransfer: carried, bubbles: true, cancelable: true });
  document.body.dispatchEvent(event);
}"""


def test_a_photo_finds_products_that_look_like_it(page: Page) -> None:
    keep_screenshot(page, "welcome")
    choose(page, photo_file("red"))
    expect_first(page, "Red")
    expect_found(page, "24 products")
    expect(page.get_by_text("Products that look like your photo")).to_be_visible()
    keep_screenshot(page, "photo")


def test_a_large_photo_in_another_format_is_made_smaller_before_it_is_sent(page: Page) -> None:
    sent = photo_of(COLOURS["red"], "BMP", size=(2400, 1800))
    choose(page, {"name": "photo.bmp", "mimeType": "image/bmp", "buffer": sent})
    expect_first(page, "Red")
    asked = "const { file, width, height } = document.querySelector('shop-lens').question.photo; "
    assert page.evaluate(f"() => {{ {asked} return [file.type, width, height]; }}") == ["image/jpeg", 2000, 1500]


@pytest.mark.parametrize("way", ["paste", "drop"])
def test_a_photo_may_be_pasted_or_dropped_anywhere(page: Page, way: str) -> None:
    page.evaluate(PASTE, [way, base64.b64encode(photo_of(COLOURS["blue"])).decode()])
    expect_first(page, "Blue")


def test_a_crop_drawn_with_the_mouse_searches_in_it(page: Page) -> None:
    choose(page, two_coloured_file("red", "blue"))
    expect_found(page)
    stage = page.locator(".stage").bounding_box()
    assert stage is not None
    page.mouse.move(stage["x"] + stage["width"] * 0.55, stage["y"] + 10)
    page.mouse.down()
    page.mouse.move(stage["x"] + stage["width"] * 0.95, stage["y"] + stage["height"] - 10, steps=4)
    page.mouse.up()
    expect_first(page, "Blue")
    expect(page.locator(".crop-size")).to_contain_text(re.compile(r"1[56]\d × \d+ pixels, 2[12]\d from the left"))
    keep_screenshot(page, "crop")
    page.get_by_role("button", name="Whole photo").click()
    expect(page.locator(".crop")).to_be_hidden()
    expect(page.get_by_text("Products that look like your photo")).to_be_visible()


def test_a_crop_is_moved_and_sized_with_the_arrow_keys(page: Page) -> None:
    choose(page, two_coloured_file("red", "blue"))
    expect_found(page)
    page.get_by_role("button", name="Crop", exact=True).press("Enter")
    corner = page.get_by_role("button", name="Crop, top left corner")
    expect(corner).to_be_focused()
    for _ in range(4):
        page.keyboard.press("Shift+ArrowRight")
    expect(page.locator(".crop-size")).to_contain_text("220 from the left")
    expect_first(page, "Blue")
    mover = page.get_by_role("button", name="Move the crop")
    mover.focus()
    for _ in range(6):
        page.keyboard.press("Shift+ArrowLeft")
    expect_first(page, "Red")
    page.keyboard.press("Escape")
    expect(page.locator(".crop")).to_be_hidden()
    expect(page.get_by_role("button", name="Crop", exact=True)).to_be_focused()


def test_the_slider_decides_between_photo_and_words(page: Page) -> None:
    choose(page, photo_file("red"))
    expect_first(page, "Red")
    search_words(page, "blue")
    slider = page.get_by_role("slider", name="How much the photo counts beside the words")
    expect(slider).to_have_attribute("aria-valuetext", "photo 70 %, words 30 %")
    slider.focus()
    page.keyboard.press("Home")
    expect_first(page, "Blue")
    page.keyboard.press("End")
    expect_first(page, "Red")


def test_filters_narrow_and_say_how_many(page: Page) -> None:
    search_words(page, "red")
    expect_found(page)
    choice(page, "Nord").check()
    expect(page.get_by_text("Filters (1)")).to_be_visible()
    expect_found(page, "12 products")
    expect(choice(page, "Nord")).to_be_focused()
    expect(choice(page, "Sud")).to_be_visible()  # what was not chosen can still be
    choice(page, "linen").check()
    expect_found(page, "6 products")
    page.get_by_label("Highest price in EUR").fill("60")
    page.keyboard.press("Enter")
    expect_found(page, "6 products")
    page.get_by_label("Highest price in EUR").fill("20")
    page.keyboard.press("Enter")
    expect_found(page, "Nothing was found")
    page.get_by_role("button", name="Clear all filters").click()
    choice(page, "In stock only").check()
    expect_found(page, "24 products")
    expect(page.get_by_text("Sold out")).to_have_count(0)
    keep_screenshot(page, "filters")


def test_what_the_shop_says_of_its_products_can_be_chosen_from_the_first_answer_on(page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/search") else None)
    search_words(page, "red")
    expect_found(page)
    material = page.get_by_role("group", name="Material")
    expect(material.get_by_role("checkbox")).to_have_count(2)
    expect(material).to_contain_text("linen")
    assert len(asked) == 1
    material.scroll_into_view_if_needed()
    keep_screenshot(page, "attributes")
    choice(page, "wool").check()
    expect_found(page, "18 products")
    expect(choice(page, "linen")).to_be_visible()


def test_a_price_range_upside_down_is_refused_beside_the_field(page: Page) -> None:
    search_words(page, "red")
    page.get_by_label("Lowest price in EUR").fill("50")
    page.get_by_label("Lowest price in EUR").blur()
    expect(page.get_by_text("Filters (1)")).to_be_visible()
    page.get_by_label("Highest price in EUR").fill("20")
    page.get_by_label("Highest price in EUR").blur()
    expect(page.get_by_text("The lowest price is above the highest.")).to_be_visible()


def test_more_like_a_product_and_less_like_another(page: Page) -> None:
    search_words(page, "red")
    expect_first(page, "Red")
    page.get_by_role("button", name="More like this: Red coat 4").click()
    expect(page.get_by_text("Products like Red coat 4")).to_be_visible()
    expect(page.locator(".tile", has_text="Red coat 4")).to_have_count(0)
    assert "product_id=red-4" in page.url
    search_words(page, "")
    page.get_by_role("button", name="Less like this: Red shirt 5").click()
    expect(page.get_by_role("list", name="Products to come closer to").get_by_text("Red shirt 5")).to_be_visible()
    expect(page.locator(".tile", has_text="Red shirt 5")).to_have_count(0)
    page.get_by_role("button", name="Closer to this: Blue coat 0").or_(
        page.get_by_role("button", name="Closer to this").first
    ).first.click()
    expect(page.locator(".chip.liked")).to_have_count(1)
    page.get_by_role("button", name="Leave Red shirt 5 out of the search").click()
    expect(page.locator(".chip button")).to_be_focused()
    expect(page.locator(".chip")).to_have_count(1)


def test_the_score_and_the_planner_are_explained_on_demand(page: Page) -> None:
    search_words(page, "red")
    expect_first(page, "Red")
    expect(page.get_by_label("How the search was run")).to_have_count(0)
    page.get_by_label("Explain").check()
    plan = page.get_by_label("How the search was run")
    expect(plan).to_contain_text("exact")
    expect(plan).to_contain_text("text 1.00")
    expect(page.locator(".tile .terms").first).to_contain_text("visual")
    keep_screenshot(page, "explain")


def test_a_product_is_shown_large_and_says_why_it_is_here(page: Page) -> None:
    search_words(page, "red")
    titles(page).first.click()
    dialog = page.get_by_role("dialog", name=re.compile("Red"))
    expect(dialog).to_contain_text("wool")
    dialog.get_by_role("button", name="Why is it here?").click()
    expect(dialog.locator(".terms")).to_contain_text("attributes")
    keep_screenshot(page, "details")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.locator(".open").first).to_be_focused()


def test_the_next_page_is_added_and_its_first_product_has_the_focus(page: Page) -> None:
    search_words(page, "red")
    expect(titles(page)).to_have_count(24)
    page.get_by_role("button", name="Show more").click()
    expect(titles(page)).to_have_count(36)
    expect_found(page, "12 more, 36 products in all")
    expect(page.locator(".tile").nth(24).locator(".open")).to_be_focused()
    expect(page.get_by_role("button", name="Show more")).to_be_hidden()
    assert len(set(titles(page).all_text_contents())) == 36


def test_nothing_close_is_said_and_the_nearest_are_shown(page: Page) -> None:
    photo: FilePayload = {
        "name": "photo.png",
        "mimeType": "image/png",
        "buffer": photo_of((255, 0, 255), size=(90, 90)),
    }
    choose(page, photo)
    expect(page.get_by_text("Nothing close was found.")).to_be_visible()
    expect(titles(page)).to_have_count(24)
    keep_screenshot(page, "no-good-match")


def test_what_is_wrong_with_a_photo_is_said(page: Page, watch: Watch) -> None:
    watch.excused.append("422")
    choose(
        page, {"name": "photo.png", "mimeType": "image/png", "buffer": photo_of(COLOURS["red"], size=(400, 300))[:90]}
    )
    alert = trouble(page)
    expect(alert).to_contain_text("The photo cannot be used.")
    expect(alert).to_contain_text("That photo is cut short")
    expect(alert.get_by_role("link", name="What this means")).to_have_attribute(
        "href", re.compile("/problems/photo-rejected$")
    )
    keep_screenshot(page, "error")


def test_a_searcher_that_does_not_answer_is_said_and_asked_again(page: Page, watch: Watch) -> None:
    watch.excused.append("ERR_INTERNET_DISCONNECTED")
    page.context.set_offline(True)
    search_words(page, "red")
    expect(trouble(page)).to_contain_text("The searcher cannot be reached.")
    page.context.set_offline(False)
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("list", name="Products found")).to_be_focused()
    expect_first(page, "Red")
    expect(trouble(page)).to_be_empty()


def test_it_says_when_it_is_searching(page: Page, searcher: OpenSearcher) -> None:
    search_words(page, "wait for blue")
    expect_found(page, "Searching…")
    expect(page.get_by_role("list", name="Products found")).to_have_attribute("aria-busy", "true")
    (Path(searcher.folder) / "go").touch()
    expect_first(page, "Blue")
    expect(page.get_by_role("list", name="Products found")).to_have_attribute("aria-busy", "false")


def test_back_and_forward_and_links_lead_to_searches(page: Page, searcher: OpenSearcher) -> None:
    choose(page, photo_file("red"))
    expect_first(page, "Red")
    page.get_by_role("button", name="More like this: Red shirt 5").click()
    expect(page.get_by_text("Products like Red shirt 5")).to_be_visible()
    page.go_back()
    expect(page.get_by_text("Products that look like your photo")).to_be_visible()
    expect_first(page, "Red")
    page.goto(f"{searcher.url}/?text=blue")
    expect_first(page, "Blue")


def test_everything_can_be_done_with_the_keyboard_alone(page: Page) -> None:
    def tab_to(name: str) -> None:
        for _ in range(80):
            page.keyboard.press("Tab")
            focused = page.evaluate("""() => {
              const one = document.activeElement?.shadowRoot?.activeElement;
              return one ? `${one.getAttribute("aria-label") || ""} ${one.labels?.[0]?.textContent || ""} ${one.textContent}` : "";
            }""")
            if name in focused:
                return
        raise AssertionError(f"no Tab leads to {name}")

    tab_to("Words that describe")
    page.keyboard.type("red")
    page.keyboard.press("Enter")
    expect_first(page, "Red")
    tab_to("Filters")
    tab_to("coats")
    page.keyboard.press("Space")
    expect_found(page, "18 products")
    tab_to("Explain")
    page.keyboard.press("Space")
    expect(page.get_by_label("How the search was run")).to_be_visible()
    title = titles(page).first.text_content() or ""
    tab_to(title)
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    tab_to(f"Less like this: {title}")
    page.keyboard.press("Enter")
    expect(page.locator(".chip.disliked")).to_have_count(1)
    outline = page.evaluate("""() => {
      document.querySelector("shop-lens").shadowRoot.querySelector(".chip button").focus();
      return getComputedStyle(document.activeElement.shadowRoot.activeElement).outlineWidth;
    }""")
    assert outline == "3px"


def test_a_phone_has_room_for_it_and_a_finger_draws_the_crop(open_context: OpenContext, searcher: OpenSearcher) -> None:
    context = open_context(
        viewport={"width": 360, "height": 740},
        device_scale_factor=2,
        is_mobile=True,
        has_touch=True,
        color_scheme="dark",
    )
    page = context.new_page()
    page.goto(searcher.url)
    camera = page.locator(".chooser.camera")
    expect(camera).to_be_visible()
    assert camera.locator("input").get_attribute("capture") == "environment"
    choose(page, two_coloured_file("red", "blue"))
    expect_found(page)
    stage = page.locator(".stage").bounding_box()
    assert stage is not None
    finger = context.new_cdp_session(page)
    places = [(0.55, 0.1), (0.8, 0.5), (0.98, 0.9)]
    points = [{"x": stage["x"] + stage["width"] * x, "y": stage["y"] + stage["height"] * y} for x, y in places]
    finger.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": points[:1]})
    for point in points[1:]:
        finger.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expect_first(page, "Blue")
    # A click, not a tap: right after raw touches Chromium may take a tap for the end of their gesture.
    page.locator(".filters summary").click()
    expect(choice(page, "Nord")).to_be_visible()
    keep_screenshot(page, "phone", whole=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.locator(".open").first.tap()
    keep_screenshot(page, "phone-details")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_nothing_turns_for_who_wants_it_still(open_context: OpenContext, searcher: OpenSearcher) -> None:
    page = open_context(reduced_motion="reduce").new_page()
    page.goto(searcher.url)
    search_words(page, "red")
    expect_found(page)
    turning = "getComputedStyle(document.querySelector('shop-lens').shadowRoot.querySelector('.status'), '::before')"
    page.evaluate("document.querySelector('shop-lens').shadowRoot.querySelector('.status').classList.add('busy')")
    assert page.evaluate(f"{turning}.animationName") == "none"
