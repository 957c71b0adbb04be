"""The web page in a real browser: a picture, the live camera, charts, alert, recording, and faults.

Set FER_SCREENSHOTS to a folder to keep pictures of the page in light, dark and phone width.
"""

import csv
import io
import os
import time
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser import camera
from tests.support.images import no_face_jpeg, portrait_jpeg

JPEG = {"name": "me.jpg", "mimeType": "image/jpeg"}


def keep_screenshot(page, name: str) -> None:
    folder = os.environ.get("FER_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def wait_for_frames(page, count: int) -> None:
    """Poll from outside: the page's policy lets nobody evaluate text, a test's condition neither."""
    deadline = time.monotonic() + 60
    while page.evaluate("() => window.framesSeen") < count:
        assert time.monotonic() < deadline, "too few frames were shown"
        page.wait_for_timeout(100)


def assert_drawn_on_the_face(page) -> None:
    """Compare what is drawn over the video with what `/predict` says of the frame that is shown."""
    frame, drawn = page.evaluate(FRAME_AND_DRAWN)
    (face,) = httpx.post(
        f"{page.url}predict", content=bytes(frame), headers={"content-type": "image/jpeg"}
    ).json()["faces"]
    box = face["box"]
    expected = [box["x"], box["x"] + box["width"], box["y"] + box["height"]]
    assert drawn == pytest.approx(expected, abs=MOVED_PX)


def assert_clean(watched) -> None:
    assert watched.faults == []
    assert watched.strange_requests == []


def test_the_page_is_served_under_a_strict_policy(server):
    answer = httpx.get(f"{server.url}/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert httpx.get(f"{server.url}/page/main.js").headers["content-security-policy"] == policy
    etag = answer.headers["etag"]
    assert httpx.get(f"{server.url}/", headers={"If-None-Match": etag}).status_code == 304
    assert httpx.get(f"{server.url}/page/../settings.py").status_code == 404
    assert httpx.get(f"{server.url}/page/%2e%2e/settings.py").status_code == 404
    assert httpx.get(f"{server.url}/page/none.js").json()["code"] == "not_found"


def test_a_picture_gets_boxes_and_bars(browse):
    watched = browse()
    page = watched.page
    page.set_input_files("#file", {**JPEG, "buffer": portrait_jpeg()})
    page.wait_for_selector("#picture-faces .face")
    assert "Face 1: happiness" in page.inner_text("#picture-faces .face")
    assert "1 face in" in page.inner_text("#picture-summary")
    assert page.evaluate(DRAWN, "#picture-overlay") > 100
    keep_screenshot(page, "picture")
    page.set_input_files("#file", {**JPEG, "buffer": no_face_jpeg()})
    expect(page.locator("#picture-summary")).to_contain_text("No faces")
    assert page.query_selector("#picture-faces .face") is None
    assert page.evaluate(DRAWN, "#picture-overlay") == 0
    assert_clean(watched)


def test_what_is_no_picture_is_told_in_words(browse):
    watched = browse()
    page = watched.page
    page.set_input_files("#file", {**JPEG, "buffer": b"no picture at all"})
    page.wait_for_selector("#problem:not([hidden])")
    assert "JPEG" in page.inner_text("#problem")
    page.set_input_files("#file", {**JPEG, "buffer": portrait_jpeg()})
    page.wait_for_selector("#picture-faces .face")
    assert page.is_hidden("#problem")


def test_a_pasted_picture_is_analysed(browse):
    page = browse().page
    page.evaluate(PASTE, list(portrait_jpeg()))
    page.wait_for_selector("#picture-faces .face")


def test_the_detector_can_be_chosen(browse):
    page = browse().page
    page.wait_for_selector("#options [name=detector] option", state="attached")
    offered = page.eval_on_selector_all("#options [name=detector] option", "all => all.map(one => one.value)")
    assert offered == [d["name"] for d in httpx.get(f"{page.url}detectors").json()["detectors"]]
    page.select_option("#options [name=detector]", "haar")
    with page.expect_request(lambda request: "detector=haar" in request.url):
        page.set_input_files("#file", {**JPEG, "buffer": portrait_jpeg()})


def test_the_expected_mix_can_be_chosen_and_is_told_with_the_answer(browse):
    watched = browse()
    page = watched.page
    page.set_input_files("#file", {**JPEG, "buffer": portrait_jpeg()})
    page.wait_for_selector("#picture-faces .face")
    assert "expecting" not in page.inner_text("#picture-summary")
    assert page.is_hidden("#options [name=shares]")
    page.select_option("#options [name=prior]", "uniform")
    expect(page.locator("#picture-summary")).to_contain_text("expecting all expressions equally often.")
    page.select_option("#options [name=prior]", "custom")
    expect(page.locator("#picture-summary")).not_to_contain_text("expecting")
    page.fill("#options [name=shares]", "neutral:3, sadness:1")
    page.press("#options [name=shares]", "Enter")
    expect(page.locator("#picture-summary")).to_contain_text("expecting neutral 75 %, sadness 25 %.")
    assert "happiness" not in page.inner_text("#picture-faces .face h3")
    keep_screenshot(page, "prior")
    assert_clean(watched)
    page.fill("#options [name=shares]", "joy:1")
    page.press("#options [name=shares]", "Enter")
    page.wait_for_selector("#problem:not([hidden])")
    assert "'joy' is none of the emotions neutral" in page.inner_text("#problem")


def test_the_mix_of_a_camera_is_estimated_and_told(browse):
    watched = browse()
    page = watched.page
    page.click("#tab-live")
    page.check("#live-options [name=auto]")
    watched.start_camera()
    expect(page.locator("#live-prior")).to_contain_text("Expecting neutral 3", timeout=30_000)
    expect(page.locator("#live-prior")).to_contain_text("happiness")
    keep_screenshot(page, "prior-live")
    page.uncheck("#live-options [name=auto]")
    expect(page.locator("#live-prior")).to_be_empty(timeout=30_000)
    page.click("#stop")
    assert_clean(watched)


def test_nothing_is_filmed_without_consent(browse):
    page = browse().page
    page.click("#tab-live")
    page.click("#start")
    assert page.is_visible("#consent")
    page.click("#consent button[value=no]")
    assert page.evaluate("document.querySelector('#video').srcObject") is None
    assert page.is_enabled("#start")


@pytest.mark.parametrize("film", [camera.from_portrait, camera.from_video])
def test_a_face_is_followed_live(browse, film):
    watched = browse(film)
    page = watched.page
    watched.start_camera()
    page.evaluate(NOTE_FACE_IDS)
    wait_for_frames(page, 40)
    assert page.evaluate("[...window.faceIds]") == ["1"]
    assert page.evaluate(DRAWN, "#live-overlay") > 100
    assert float(page.inner_text("#fps")) > 0
    assert page.inner_text("#lost") == "0"
    assert "find faces" in page.inner_text("#latency")
    page.wait_for_selector("#pie path", state="attached")
    page.wait_for_selector("#timeline rect", state="attached")
    assert_drawn_on_the_face(page)
    name = film.__name__
    keep_screenshot(page, f"{name}_light")
    page.emulate_media(color_scheme="dark")
    keep_screenshot(page, f"{name}_dark")
    page.set_viewport_size({"width": 390, "height": 844})
    keep_screenshot(page, f"{name}_phone")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    with page.expect_download() as download:
        page.click("#csv")
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))
    assert rows
    assert {row["face_id"] for row in rows} == {"1"}
    assert sum(int(row["frames"]) for row in rows) >= 40
    page.click("#stop")
    page.wait_for_selector("#start:enabled")
    assert_clean(watched)


def test_other_options_begin_another_stream_while_the_camera_stays_on(browse):
    watched = browse()
    page = watched.page
    watched.start_camera()
    film = page.evaluate_handle("() => document.querySelector('#video').srcObject")
    sent = []

    def keep(frame) -> None:  # playwright takes no built-in function
        sent.append(frame)

    page.on("websocket", lambda socket: socket.on("framesent", keep))
    page.fill("#live-options [name=smoothing]", "9")
    page.press("#live-options [name=smoothing]", "Tab")
    page.evaluate(NOTE_FACE_IDS)
    wait_for_frames(page, 5)
    assert '"smoothing":9' in sent[0]
    assert page.evaluate("film => document.querySelector('#video').srcObject === film", film)
    assert_clean(watched)


def test_an_alert_is_shown(browse):
    watched = browse()
    page = watched.page
    page.click("#tab-live")
    page.click("#live-options summary")
    for emotion in ("sadness", "anger", "disgust", "fear"):
        page.uncheck(f"#alert-emotions [value={emotion}]")
    page.check("#alert-emotions [value=happiness]")
    page.fill("#live-options [name=window_s]", "2")
    watched.start_camera()
    page.wait_for_selector("#alert:not([hidden])", timeout=30_000)
    assert "happiness" in page.inner_text("#alert")
    keep_screenshot(page, "alert")
    page.click("#alert button")
    assert page.is_hidden("#alert")
    assert_clean(watched)


def test_a_recorded_session_can_be_read_and_deleted(browse):
    watched = browse()
    page = watched.page
    page.click("#tab-live")
    page.check("#live-options [name=record]")
    page.click("#start")
    assert "recorded" in page.inner_text("#what-is-kept")
    page.click("#consent button[value=yes]")
    page.wait_for_selector("#recording:not([hidden])")
    address = page.url.rstrip("/") + page.get_attribute("#recording a >> nth=0", "href")
    deadline = time.monotonic() + 30
    while not (trend := httpx.get(address).json()).get("buckets"):
        assert time.monotonic() < deadline, trend
        time.sleep(0.2)
    assert trend["totals"]["emotion"] == "happiness"
    page.click("#recording button")
    expect(page.locator("#recording")).to_contain_text("was deleted")
    assert httpx.get(address).status_code == 404
    assert_clean(watched)


def test_tabs_are_moved_through_with_the_keyboard(browse):
    page = browse().page
    page.focus("#tab-picture")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == "tab-live"
    assert page.is_visible("#panel-live")
    assert page.is_hidden("#panel-picture")


def test_elsewhere_than_on_localhost_the_page_says_why_there_is_no_camera(browse):
    page = browse().page
    page.add_init_script("Object.defineProperty(window, 'isSecureContext', {value: false})")
    page.reload()
    page.click("#tab-live")
    page.click("#start")
    assert "https or localhost" in page.inner_text("#problem")


def test_the_page_comes_back_by_itself_when_the_gateway_was_killed(browse, server):
    watched = browse()
    page = watched.page
    watched.start_camera()
    server.kill()
    expect(page.locator("#live-state")).to_contain_text("trying again")
    server.start()
    server.wait_until_ready()
    page.evaluate(NOTE_FACE_IDS)
    wait_for_frames(page, 5)
    assert page.inner_text("#live-state") == ""


DRAWN = """selector => {
  const canvas = document.querySelector(selector);
  if (!canvas.width || !canvas.height) return 0;
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let drawn = 0;
  for (let at = 3; at < pixels.length; at += 4) drawn += pixels[at] > 0;
  return drawn;
}"""

MOVED_PX = 40
"""How far a face may move while a frame is looked at, in pixels of the video."""

FRAME_AND_DRAWN = """async () => {
  const video = document.querySelector("#video");
  const overlay = document.querySelector("#live-overlay");
  const {width, height} = overlay;
  const pixels = overlay.getContext("2d").getImageData(0, 0, width, height).data;
  let left = width, right = 0, bottom = 0;
  for (let at = 0; at < width * height; at += 1) {
    if (!pixels[4 * at + 3]) continue;
    left = Math.min(left, at % width);
    right = Math.max(right, at % width);
    bottom = Math.max(bottom, Math.floor(at / width));
  }
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.9));
  const scale = video.videoWidth / width;
  return [[...new Uint8Array(await blob.arrayBuffer())], [left * scale, right * scale, bottom * scale]];
}"""

NOTE_FACE_IDS = """() => {
  window.framesSeen = 0;
  window.faceIds = new Set();
  new MutationObserver(() => {
    window.framesSeen += 1;
    for (const title of document.querySelectorAll("#live-faces h3 span:first-child")) {
      window.faceIds.add(title.textContent.match(/Face (\\d+)/)[1]);
    }
  }).observe(document.querySelector("#live-faces"), {subtree: true, childList: true, characterData: true});
}"""

PASTE = """bytes => {
  const clipboard = new DataTransfer();
  clipboard.items.add(new File([new Uint8Array(bytes)], "pasted.jpg", {type: "image/jpeg"}));
  document.dispatchEvent(new ClipboardEvent("paste", {clipboardData: clipboard}));
}"""
