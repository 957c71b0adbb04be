"""The page's Latency tab in a real browser: the server's own /metrics, read only while somebody looks.

Its clock stands still and is moved on by hand, so that nothing depends on how fast the machine is. Set
FER_SCREENSHOTS to a folder to keep pictures of it in light, dark and phone width.
"""

from itertools import pairwise

import httpx
import pytest
from playwright.sync_api import Page, expect
from prometheus_client.parser import text_string_to_metric_families

from fercore.service.metrics import Metrics
from tests.browser.conftest import Watched
from tests.browser.test_figures import reading
from tests.browser.test_page import assert_clean, keep_screenshot
from tests.support.images import portrait_jpeg
from tests.support.waiting import until

PATIENCE_MS = 60_000
EVERY_MS = 2000
"""How long the board waits after each reading."""


class Board:
    """The tab of a page whose clock stands still."""

    def __init__(self, watched: Watched) -> None:
        self.watched = watched
        self.page: Page = watched.page
        self.page.clock.install(time=0)
        watched.open()
        self.page.clock.pause_at(1000)
        self.page.evaluate(COUNT_READINGS)

    @property
    def readings(self) -> int:
        """How many were begun."""
        return self.page.evaluate("() => window.begun")

    def is_reading(self) -> bool:
        return self.page.evaluate("() => window.begun > window.ended")

    def open(self) -> None:
        """Look, and wait for the first reading."""
        before = self.readings
        self.page.click("#tab-board")
        until(lambda: self.readings > before and not self.is_reading())

    def read_again(self) -> None:
        """Move the clock until what is read next is read and shown: one more is begun after it."""
        wanted = self.readings + 2

        def has_read() -> bool:
            self.page.clock.run_for(EVERY_MS)
            return self.readings >= wanted

        until(has_read)

    def is_silent(self) -> bool:
        """Let a minute pass, and tell that nothing was read in it."""
        until(lambda: not self.is_reading())
        before = self.readings
        for _ in range(6):
            self.page.clock.run_for(10_000)
        return self.readings == before


@pytest.fixture
def board(browse) -> Board:
    return Board(browse())


def post(server, content: bytes, count: int = 1) -> list[float]:
    """Post a picture; gives how long each took in the gateway, in ms."""
    headers = {"content-type": "image/jpeg"}
    answers = [
        httpx.post(f"{server.url}/predict", content=content, headers=headers, timeout=60)
        for _ in range(count)
    ]
    return [answer.json()["timings_ms"]["total"] for answer in answers if answer.status_code == 200]


def test_the_board_shows_what_the_server_does(board, server):
    page = board.page
    page.focus("#tab-live")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == "tab-board"
    assert page.is_hidden("#options")
    for _ in range(5):
        post(server, portrait_jpeg(), 2)
        post(server, b"no picture")
        board.read_again()
    expect(page.locator("#board-requests")).to_contain_text("200 answered", timeout=PATIENCE_MS)
    expect(page.locator("#board-requests")).to_contain_text("415 refused", timeout=PATIENCE_MS)
    for words in ("queue", "find faces", "emotions", "gateway"):
        expect(page.locator("#board-stages")).to_contain_text(words, timeout=PATIENCE_MS)
    for place in ("#board-frames", "#board-faces"):
        assert float(page.inner_text(place).removesuffix(" /s")) > 0
    assert "% of the frames took at most 40 ms" in page.inner_text("#board-objective")
    assert page.get_attribute("#board-rate path", "d").count("L") >= 3
    keep_screenshot(page, "board_light")
    page.emulate_media(color_scheme="dark")
    keep_screenshot(page, "board_dark")
    page.set_viewport_size({"width": 390, "height": 844})
    keep_screenshot(page, "board_phone")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert_clean(board.watched)


def quantile_ms(share: float, before: str, after: str) -> float:
    """Estimate a quantile of a frame's time between two readings, as Prometheus' documentation says."""
    first, last = edges(before), edges(after)
    counts = [(edge, count - first[edge]) for edge, count in sorted(last.items())]
    rank = share * counts[-1][1]
    for (low, below), (high, count) in pairwise([(0.0, 0.0), *counts]):
        if count >= rank:
            return 1000 * (low + (high - low) * (rank - below) / (count - below))
    raise AssertionError("no frame")


def edges(text: str) -> dict[float, float]:
    """Give how many frames took at most so many seconds."""
    return {
        float(sample.labels["le"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "fer_stage_duration_seconds_bucket" and sample.labels["stage"] == "total"
    }


def test_the_quantiles_are_those_of_the_metrics_and_near_what_callers_were_told(board, server):
    page = board.page
    post(server, portrait_jpeg())  # a process tells of a stage only after its first frame
    before = httpx.get(f"{server.url}/metrics").text
    board.open()
    took_ms = sorted(post(server, portrait_jpeg(), 9))
    after = httpx.get(f"{server.url}/metrics").text
    board.read_again()
    shown = [
        float(text.removesuffix(" ms"))
        for text in page.locator("#board-quantiles td:last-child").all_inner_texts()
    ]
    expected = [quantile_ms(share, before, after) for share in (0.5, 0.95, 0.99)]
    assert shown == pytest.approx(expected, abs=0.5)  # it is shown without decimals
    known = sorted(edges(after))
    [bucket] = [pair for pair in pairwise([0.0, *known]) if pair[0] < took_ms[4] / 1000 <= pair[1]]
    assert 1000 * bucket[0] <= shown[0] <= 1000 * bucket[1] + 0.5


def test_nothing_is_asked_while_nobody_looks(board):
    page = board.page
    assert board.is_silent()
    board.open()
    board.read_again()
    page.click("#tab-picture")
    assert page.is_visible("#options")
    assert board.is_silent()
    board.open()
    page.evaluate(SET_VISIBILITY, "hidden")
    assert board.is_silent()
    page.evaluate(SET_VISIBILITY, "visible")
    board.read_again()
    assert_clean(board.watched)


def test_one_reader_reads_however_often_it_is_woken(board):
    board.open()
    before = board.readings
    board.page.evaluate(
        "() => { for (let n = 0; n < 5; n += 1) document.dispatchEvent(new Event('visibilitychange')); }"
    )
    board.page.clock.run_for(EVERY_MS)
    assert board.readings - before <= 1


def test_where_metrics_are_closed_the_board_says_where_to_look(board):
    page = board.page
    problem = '{"code": "not_found"}'
    page.route(
        "**/metrics",
        lambda route: route.fulfill(status=404, content_type="application/problem+json", body=problem),
    )
    board.open()
    expect(page.locator("#board-note")).to_contain_text("Prometheus", timeout=PATIENCE_MS)
    assert page.is_hidden("#board-figures")
    keep_screenshot(page, "board_closed")
    assert board.is_silent()
    [fault] = board.watched.faults  # the browser's own line
    assert "404" in fault


def test_a_server_that_went_away_is_told_and_asked_again(board):
    page = board.page
    page.route("**/metrics", lambda route: route.abort())
    board.open()
    expect(page.locator("#board-note")).to_contain_text("trying again", timeout=PATIENCE_MS)
    page.unroute("**/metrics")
    board.read_again()
    expect(page.locator("#board-figures")).to_be_visible(timeout=PATIENCE_MS)


def test_a_process_that_has_no_workers_shows_what_it_has(board):
    """So in the gateway of a cluster: it counts the queue and the whole, and no face."""
    page = board.page
    metrics = Metrics()
    metrics.stage_duration.labels("total").observe(0.01)

    def answer(route) -> None:
        metrics.stage_duration.labels("queue").observe(0.002)
        metrics.stage_duration.labels("total").observe(0.02)
        route.fulfill(body=reading(metrics), content_type="text/plain")

    page.route("**/metrics", answer)
    board.open()
    board.read_again()
    assert "20 ms in all. Detector and classifier are processes of their own" in page.inner_text(
        "#board-where"
    )
    assert "workers and gateway 18.0 ms" in page.inner_text("#board-stages")
    assert "find faces" not in page.inner_text("#board-stages")
    assert page.inner_text("#board-faces") == "-"
    assert page.inner_text("#board-live") == "None yet."
    assert_clean(board.watched)


COUNT_READINGS = """() => {
  window.begun = window.ended = 0;
  const ask = window.fetch;
  window.fetch = async (...request) => {
    window.begun += request[0] === "/metrics";
    try { return await ask(...request); } finally { window.ended += request[0] === "/metrics"; }
  };
}"""

SET_VISIBILITY = """state => {
  Object.defineProperty(document, "visibilityState", {configurable: true, get: () => state});
  document.dispatchEvent(new Event("visibilitychange"));
}"""
