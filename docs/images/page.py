"""Take the pictures of the web page: a camera, and the Latency tab of the same server.

`python -m docs.images.page` starts the server of `make run` and a Chromium whose webcam shows the portrait,
and writes `docs/images/page.png` and `docs/images/latency.png`. Needs `chromium`.
"""

import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.browser import camera
from tests.browser.conftest import FLAGS, Watched
from tests.support.cluster import Service
from tests.support.ports import free_ports

FOLDER = Path(__file__).parent
FILM_MS, LOOK_MS = 20_000, 10_000
"""How long the camera runs before the first picture, and the board before the second."""


def main() -> None:
    """Film, look, and look at the board while the film goes on in another page."""
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        (port,) = free_ports(1)
        service = Service("allinone", port, {}, Path(name) / "server.log")
        service.start()
        try:
            service.wait_until_ready()
            film = camera.from_portrait(Path(name) / "film.mjpeg")
            flags = [*FLAGS, f"--use-file-for-fake-video-capture={film}"]
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=flags)
            live, board = (browser.new_page(viewport={"width": 960, "height": 900}) for _ in range(2))
            filmed = Watched(live, service.url)
            filmed.open()
            filmed.start_camera()
            live.wait_for_timeout(FILM_MS)
            live.screenshot(path=FOLDER / "page.png", full_page=True)
            Watched(board, service.url).open()
            board.click("#tab-board")
            board.wait_for_timeout(LOOK_MS)
            board.screenshot(path=FOLDER / "latency.png", full_page=True)
            browser.close()
        finally:
            service.stop()


if __name__ == "__main__":
    main()
