"""Faces of a group in a real browser: numbers, and boxes and cards that light up together.

Set FER_SCREENSHOTS to a folder to keep pictures of 1, 16 and 60 faces in light, dark and phone width.
"""

import re
from functools import cache
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser import camera
from tests.browser.groups import group
from tests.browser.test_page import assert_clean, keep_screenshot, wait_for_frames
from tests.support.images import encoded, portrait_jpeg

pytestmark = pytest.mark.e2e

DESKTOP = {"width": 1280, "height": 720}
PHONE = {"width": 390, "height": 844}
CARDS = "#picture-faces .face"
LINES = f"{CARDS} button"


@cache
def picture_of(faces: int) -> bytes:
    """A picture of so many faces."""
    columns, rows, size, head_px = {
        2: (2, 1, (640, 320), 200),
        6: (3, 2, (640, 480), 140),
        7: (7, 1, (900, 300), 120),
        16: (4, 4, (900, 900), 150),
        60: (10, 6, (1200, 800), 100),
    }[faces]
    return encoded(group(columns, rows, size, head_px), quality=92)


def show(page: Page, jpeg: bytes) -> None:
    """Give a picture, and wait for its faces."""
    page.fill("#options [name=max_faces]", "256")
    page.locator("#options [name=max_faces]").blur()
    page.set_input_files("#file", {"name": "group.jpg", "mimeType": "image/jpeg", "buffer": jpeg})
    page.wait_for_selector(CARDS)
    page.mouse.move(0, 0)


@cache
def answer_for(url: str, jpeg: bytes) -> dict[str, Any]:
    """Ask the server that the page is of."""
    headers = {"content-type": "image/jpeg"}
    return httpx.post(f"{url}predict?max_faces=256", content=jpeg, headers=headers).json()


def middle_of(page: Page, number: int, jpeg: bytes) -> tuple[float, float]:
    """Where the middle of a face is on the screen, after `/predict`."""
    answer = answer_for(page.url, jpeg)
    box, image = answer["faces"][number - 1]["box"], answer["image"]
    shown = page.locator("#picture").bounding_box()
    scale = min(shown["width"] / image["width"], shown["height"] / image["height"])
    left = shown["x"] + (shown["width"] - scale * image["width"]) / 2
    top = shown["y"] + (shown["height"] - scale * image["height"]) / 2
    return (
        left + scale * (box["x"] + box["width"] / 2),
        top + scale * (box["y"] + box["height"] / 2),
    )


def lit_cards(page: Page) -> list[int]:
    texts = page.locator("#picture-faces .face.lit h3").all_inner_texts()
    return [int(re.search(r"\d+", text).group()) for text in texts]


def lit_box(page: Page, jpeg: bytes, numbers: range) -> list[int]:
    """Which boxes have the white edge of the lit one: looked for from the middle of a face to its left."""
    middles = [middle_of(page, number, jpeg) for number in numbers]
    return [
        number for number, found in zip(numbers, page.evaluate(WHITE_BESIDE, middles), strict=True) if found
    ]


def is_in_view(page: Page, selector: str) -> bool:
    return page.locator(selector).evaluate(IN_VIEW)


def test_a_large_group_is_a_list_of_lines_that_open(browse):
    watched = browse()
    page = watched.page
    show(page, picture_of(16))
    assert page.locator(CARDS).count() == 16
    lines = page.locator(LINES)
    texts = [" ".join(text.split()) for text in lines.all_inner_texts()]
    assert all(re.fullmatch(r"Face \d+ happiness \d+ %", text) for text in texts)
    assert [int(text.split()[1]) for text in texts] == list(range(1, 17))
    heights = page.eval_on_selector_all(CARDS, "cards => cards.map(card => card.offsetHeight)")
    assert max(heights) < 45, "a line each"
    first = lines.first
    table = page.locator(f"{CARDS} table").first
    assert first.get_attribute("aria-expanded") == "false"
    expect(table).to_be_hidden()
    first.click()
    assert first.get_attribute("aria-expanded") == "true"
    assert page.locator(f"#{first.get_attribute('aria-controls')}").is_visible()
    expect(table).to_be_visible()
    assert "happiness" in table.inner_text()
    assert re.search(r"(9\d|100) %", table.inner_text()), "the figures of before it was opened"
    first.click()
    expect(table).to_be_hidden()
    assert_clean(watched)


@pytest.mark.parametrize(("faces", "is_list"), [(6, False), (7, True)])
def test_up_to_six_faces_are_shown_in_full(browse, faces, is_list):
    page = browse().page
    show(page, picture_of(faces))
    assert page.locator(CARDS).count() == faces
    assert page.locator(LINES).count() == (faces if is_list else 0)
    assert page.locator(f"{CARDS} table:visible").count() == (0 if is_list else faces)


@pytest.mark.parametrize("faces", [2, 16])
def test_the_pointer_on_a_box_lights_its_card_and_itself(browse, faces):
    watched = browse()
    page = watched.page
    jpeg = picture_of(faces)
    show(page, jpeg)
    numbers = range(1, faces + 1)
    assert lit_cards(page) == []
    assert lit_box(page, jpeg, numbers) == []
    for number in (faces, 1):
        page.mouse.move(*middle_of(page, number, jpeg))
        assert lit_cards(page) == [number]
        assert lit_box(page, jpeg, numbers) == [number]
    page.mouse.move(0, 0)
    assert lit_cards(page) == []
    assert lit_box(page, jpeg, numbers) == []
    assert_clean(watched)


@pytest.mark.parametrize("faces", [2, 16])
def test_the_pointer_on_a_card_lights_its_box(browse, faces):
    page = browse().page
    jpeg = picture_of(faces)
    show(page, jpeg)
    for number in (2, 1):
        page.locator(CARDS).nth(number - 1).hover()
        assert lit_cards(page) == [number]
        assert lit_box(page, jpeg, range(1, faces + 1)) == [number]
    page.mouse.move(0, 0)
    assert lit_box(page, jpeg, range(1, faces + 1)) == []


@pytest.mark.parametrize("faces", [2, 16])
def test_cards_are_gone_through_with_the_keyboard_and_light_their_boxes(browse, faces):
    page = browse().page
    jpeg = picture_of(faces)
    show(page, jpeg)
    page.focus("#options [name=max_faces]")
    page.keyboard.press("Tab")
    walk = [("", 1), ("Tab", 2), ("Shift+Tab", 1), ("ArrowDown", 2), ("ArrowUp", 1), ("ArrowUp", 1)]
    for key, number in [*walk, ("End", faces), ("ArrowDown", faces), ("Home", 1)]:
        if key:
            page.keyboard.press(key)
        assert lit_cards(page) == [number], key
        assert lit_box(page, jpeg, range(1, faces + 1)) == [number], key
    page.focus("#tab-picture")
    assert lit_cards(page) == []
    assert lit_box(page, jpeg, range(1, faces + 1)) == []


def test_a_line_is_opened_and_closed_with_the_keyboard(browse):
    page = browse(viewport=DESKTOP).page
    page.emulate_media(reduced_motion="reduce")
    show(page, picture_of(60))
    line = page.locator(LINES).nth(59)
    line.focus()
    for key, is_open in (("Enter", True), ("Space", False), ("Space", True)):
        page.keyboard.press(key)
        assert page.locator(f"{CARDS} table:visible").count() == is_open
        assert line.get_attribute("aria-expanded") == str(is_open).lower()
        assert is_in_view(page, f"{CARDS}:last-child"), "all of it"


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE])
def test_a_click_on_a_box_opens_its_card_in_view_beside_the_picture(browse, viewport):
    watched = browse(viewport=viewport)
    page = watched.page
    page.emulate_media(reduced_motion="reduce")  # no animation to wait for
    jpeg = picture_of(60)
    show(page, jpeg)
    page.mouse.click(*middle_of(page, 55, jpeg))
    card = f"{CARDS}:nth-child(55)"
    assert page.locator(f"{card} table").is_visible()
    assert is_in_view(page, f"{card} h3")
    assert is_in_view(page, f"{card} table")
    assert page.evaluate("document.activeElement.innerText").split()[1] == "55"
    page.mouse.move(0, 0)
    assert lit_cards(page) == [55]
    assert_clean(watched)


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE])
def test_the_picture_stays_in_sight_while_a_long_list_is_gone_through(browse, viewport):
    page = browse(viewport=viewport).page
    show(page, picture_of(60))
    for number in (60, 1, 30):
        page.locator(LINES).nth(number - 1).focus()
        assert is_in_view(page, f"{CARDS}:nth-child({number}) button")
        assert is_in_view(page, "#picture")
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    if viewport == DESKTOP:
        assert page.evaluate("document.documentElement.scrollHeight") < 900, "the list scrolls by itself"


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE])
def test_the_picture_stays_in_sight_of_the_last_card_in_full(browse, viewport):
    page = browse(viewport=viewport).page
    show(page, picture_of(6))
    page.locator(CARDS).last.focus()
    assert is_in_view(page, f"{CARDS}:last-child")
    assert is_in_view(page, "#picture")


def test_a_tap_opens_the_card_of_a_face_that_is_hit_nearly(browse):
    page = browse(has_touch=True, viewport=PHONE).page
    jpeg = picture_of(60)
    show(page, jpeg)
    x, y = middle_of(page, 7, jpeg)
    page.touchscreen.tap(x + 10, y + 10)
    expect(page.locator(f"{CARDS}:nth-child(7) table")).to_be_visible()
    assert page.locator(f"{CARDS} table:visible").count() == 1


def test_a_click_beside_all_faces_opens_nothing(browse):
    page = browse().page
    show(page, picture_of(16))
    shown = page.locator("#picture").bounding_box()
    page.mouse.click(shown["x"] + shown["width"] / 2, shown["y"] + 3)
    assert lit_cards(page) == []
    assert page.locator(f"{CARDS} table:visible").count() == 0


def test_what_is_uncertain_is_marked_on_the_line_and_explained_where_it_opens(browse):
    line, opened = browse().page.evaluate(UNCERTAIN_CARD)
    assert line.split() == ["Face", "3", "fear", "31", "%", "uncertain"]
    assert "no emotion stands out" in opened


def test_the_focus_stays_on_its_card_when_the_options_are_changed(browse):
    page = browse().page
    show(page, picture_of(16))
    page.fill("#options [name=max_faces]", "10")
    with page.expect_response(lambda response: "max_faces=10" in response.url):
        page.keyboard.press("Tab")  # from the last option to the first card
    expect(page.locator(CARDS)).to_have_count(10)
    assert lit_cards(page) == [1]
    assert page.evaluate("document.activeElement.innerText").split()[1] == "1"
    page.fill("#options [name=max_faces]", "6")
    page.keyboard.press("Tab")
    expect(page.locator(CARDS)).to_have_count(6)
    assert page.locator(f"{CARDS} table:visible").count() == 6, "a small group is shown in full"
    assert lit_cards(page) == [1]


def test_another_picture_starts_with_closed_cards(browse):
    page = browse().page
    show(page, picture_of(16))
    page.locator(LINES).first.click()
    show(page, picture_of(2))
    assert page.locator(f"{CARDS} table:visible").count() == 2
    show(page, picture_of(7))
    expect(page.locator(LINES)).to_have_count(7)
    assert page.locator(f"{CARDS} table:visible").count() == 0


def test_followed_faces_keep_their_place_and_state_while_others_come_and_go(browse):
    steps = browse().page.evaluate(
        FOLLOWED, [[1, 2, 3, 4, 5, 6, 7], [1, 2, 4, 5, 6], [1, 2, 3, 4, 5, 6, 8], [2, 4]]
    )
    assert [step["numbers"] for step in steps] == [
        ["1", "2", "3", "4", "5", "6", "7"],
        ["1", "2", "4", "5", "6"],
        ["1", "2", "3", "4", "5", "6", "8"],
        [],
    ]
    assert [step["open"] for step in steps] == [["4"], ["4"], ["4"], []]
    assert [step["inFull"] for step in steps] == [0, 0, 0, 2]


def test_live_cards_of_a_group_stay_open_by_the_number_of_their_face(browse):
    watched = browse(camera.from_crowd)
    page = watched.page
    watched.start_camera()
    lines = page.locator("#live-faces .face button")
    expect(lines).to_have_count(8, timeout=30_000)
    number = lines.nth(2).locator(".number").inner_text()
    lines.nth(2).click()
    page.evaluate(NOTE_FRAMES)
    wait_for_frames(page, 30)
    opened = page.locator("#live-faces .face:has(table:visible)")
    expect(opened).to_have_count(1)
    assert opened.locator(".number").inner_text() == number
    assert lines.nth(2).get_attribute("aria-expanded") == "true"
    keep_screenshot(page, "live_group")
    page.click("#stop")
    assert_clean(watched)


@pytest.mark.parametrize("faces", [1, 16, 60])
def test_groups_are_shown_in_light_dark_and_phone_width(browse, faces):
    watched = browse()
    page = watched.page
    show(page, picture_of(faces) if faces > 1 else portrait_jpeg())
    assert page.locator(CARDS).count() == faces
    keep_screenshot(page, f"{faces}_faces_light")
    page.emulate_media(color_scheme="dark")
    keep_screenshot(page, f"{faces}_faces_dark")
    page.set_viewport_size(PHONE)
    keep_screenshot(page, f"{faces}_faces_phone")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert_clean(watched)


WHITE_BESIDE = """middles => {
  const canvas = document.querySelector("#picture-overlay");
  const place = canvas.getBoundingClientRect();
  const {width, data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return middles.map(([x, y]) => {
    const row = Math.round((y - place.top) * canvas.height / place.height);
    let column = Math.round((x - place.left) * canvas.width / place.width);
    const pixel = () => data.slice(4 * (row * width + column), 4 * (row * width + column) + 4);
    while (column > 0 && pixel()[3] < 100) column -= 1;  // to the edge of the box
    for (const outmost = column - 8; column > outmost; column -= 1) {
      if (pixel()[3] > 230 && pixel()[0] > 230 && pixel()[1] > 230 && pixel()[2] > 230) return true;
    }
    return false;
  });
}"""

IN_VIEW = """element => {
  const {left, top, right, bottom} = element.getBoundingClientRect();
  const hit = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
  const isOnTop = hit !== null && (element.contains(hit) || hit.contains(element));
  return isOnTop && top >= -1 && bottom <= innerHeight + 1;
}"""

UNCERTAIN_CARD = """async () => {
  const { FaceCard } = await import("/page/card.js");
  const card = new FaceCard(3, "test");
  document.querySelector("main").append(card.element);
  card.setCompact(true);
  const seen = { emotion: "fear", score: 0.31, probabilities: { fear: 0.31, anger: 0.3 } };
  card.show(seen, { ...seen, uncertain: true, uncertain_reasons: ["low_score"] });
  const line = card.element.innerText;
  card.isOpen = true;
  return [line, card.element.innerText];
}"""

FOLLOWED = """async steps => {
  const { FaceList } = await import("/page/faces.js");
  const place = document.querySelector("#picture-faces");
  const list = new FaceList(place, () => {});
  return steps.map((ids, index) => {
    list.show(ids.map((face_id) => ({
      face_id, emotion: "fear", score: 0.9, probabilities: { fear: 0.9 },
      uncertain: false, uncertain_reasons: [],
    })));
    if (index === 0) place.querySelectorAll("button")[3].click();
    const cards = [...place.querySelectorAll(".face")];
    return {
      numbers: cards.flatMap((card) => card.querySelector(".number")?.textContent ?? []),
      open: cards.filter((card) => card.querySelector("[aria-expanded=true]"))
        .map((card) => card.querySelector(".number").textContent),
      inFull: cards.filter((card) => card.tabIndex === 0 && !card.querySelector("button")).length,
    };
  });
}"""

NOTE_FRAMES = """() => {
  window.framesSeen = 0;
  new MutationObserver(() => { window.framesSeen += 1; }).observe(
    document.querySelector("#live-faces"), {subtree: true, childList: true, characterData: true});
}"""
