"""A real Chromium with a fake webcam, and the application that `make run` starts."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from tests.browser import camera
from tests.support.cluster import Service
from tests.support.ports import free_ports
from tests.support.requires import missing, program

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]


@pytest.fixture(scope="session")
def chromium() -> str:
    """Find the browser."""
    return os.environ.get("FER_CHROMIUM") or program("chromium", "google-chrome")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    (port,) = free_ports(1)
    log = tmp_path_factory.mktemp("page") / "server.log"
    environment = {"FER_LIVE_DEADLINE_S": "10", "FER_PREDICT_DEADLINE_S": "30"}  # machines of tests are slow
    service = Service("allinone", port, environment, log)
    service.start()
    service.wait_until_ready()
    yield service
    service.stop()


class Watched:
    """A page, and all that it did that it must not do.

    Attributes:
        faults: messages of errors in its console, and uncaught ones.
        strange_requests: addresses that are not the server's own.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.faults: list[str] = []
        self.strange_requests: list[str] = []
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("request", lambda request: self._look_at(request.url))
        page.on("websocket", lambda socket: self._look_at(socket.url.replace("ws://", "http://")))

    def open(self) -> Page:
        self.page.goto(f"{self.url}/")
        return self.page

    def start_camera(self) -> None:
        self.page.click("#tab-live")
        self.page.click("#start")
        self.page.click("#consent button[value=yes]")
        self.page.wait_for_selector("#live-faces .face", timeout=30_000)

    def _note(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.faults.append(message.text)

    def _look_at(self, url: str) -> None:
        if not url.startswith((f"{self.url}/", f"blob:{self.url}/")):
            self.strange_requests.append(url)


@pytest.fixture(scope="module")
def browse(
    chromium: str, server: Service, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Watched]]:
    """Give a function that opens the page; `film` makes the file that is its webcam."""
    folder = tmp_path_factory.mktemp("camera")
    browsers: dict[object, Browser] = {}
    with ExitStack() as stack:
        playwright = stack.enter_context(sync_playwright())

        def browse(film: Callable[[Path], Path | None] = camera.from_portrait, **options: Any) -> Watched:
            if film not in browsers:
                file = film(folder / f"{film.__name__}.mjpeg")
                if file is None:
                    missing("data", "there are no videos among the data sets")
                flags = [*FLAGS, f"--use-file-for-fake-video-capture={file}"]
                browser = playwright.chromium.launch(executable_path=chromium, args=flags)
                browsers[film] = browser
                stack.callback(browser.close)
            page = browsers[film].new_page(**options)
            stack.callback(page.close)
            watched = Watched(page, server.url)
            watched.open()
            return watched

        yield browse
