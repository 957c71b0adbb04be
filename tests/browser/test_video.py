"""A real Chromium plays what `python -m ferclient video` writes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import sync_playwright

from ferclient.terminal.commands import main
from tests.browser.conftest import FLAGS
from tests.support.ferserver import answering_in_thread, streaming_in_thread, usual
from tests.support.films import BROWSERS_TIMES_MS, greys, write_film

TYPES = {".html": "text/html", ".mp4": "video/mp4", ".mov": "video/quicktime", ".webm": "video/webm"}
PLAY = """async name => {
    const video = document.createElement('video');
    video.muted = true;
    const times = [];
    const look = (_, frame) => { times.push(frame.mediaTime); video.requestVideoFrameCallback(look); };
    video.requestVideoFrameCallback(look);
    document.body.replaceChildren(video);
    const end = new Promise(resolve => {
        video.onended = () => resolve('ended');
        video.onerror = () => resolve(video.error.message);
        setTimeout(() => resolve(`still at ${video.currentTime} s`), 30_000);
    });
    video.src = name;
    await video.play().catch(() => 0);
    return {
        end: await end, times, duration: video.duration, width: video.videoWidth, height: video.videoHeight,
        frames: video.getVideoPlaybackQuality().totalVideoFrames, sound: video.webkitAudioDecodedByteCount,
    };
}"""

TIMES_MS = [*BROWSERS_TIMES_MS, 1500]
FORMS = [f"{sound}{suffix}" for sound in ("sound", "silent") for suffix in (".mp4", ".mov", ".webm")]

Play = Callable[[str], dict]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Annotate a browser's recording into each kind of file, and a phone's clip; gives the folder."""
    folder = tmp_path_factory.mktemp("films")
    for name in ("sound", "silent"):
        write_film(
            folder / f"{name}.mkv",
            greys(len(TIMES_MS)),
            TIMES_MS,
            codec="libvpx",
            sound="libopus" if name == "sound" else None,
            is_live=True,
        )
    phone = folder / "phone.mov"
    write_film(phone, greys(2, width=64, height=48), (0, 400), matrix=(0, 1, -1, 0), sound="aac")
    with streaming_in_thread(usual) as url:
        for source, target in [("phone.mov", "phone.mp4"), *((f"{Path(n).stem}.mkv", n) for n in FORMS)]:
            arguments = ["video", str(folder / source), "--output", str(folder / target)]
            assert main(arguments, default_url=url) == 0
    return folder


@pytest.fixture(scope="module")
def play(chromium: str, films: Path) -> Iterator[Play]:
    """Give a function that plays an annotated film to its end and tells what was seen."""

    def answer(request: httpx.Request) -> httpx.Response:
        path = films / request.url.path[1:]
        if path.suffix == ".html":
            return httpx.Response(200, html="<!doctype html><body></body>")
        if not path.is_file():
            return httpx.Response(404)
        return httpx.Response(200, content=path.read_bytes(), headers={"Content-Type": TYPES[path.suffix]})

    with answering_in_thread(answer) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page()
        page.goto(f"{url}/player.html")
        yield lambda name: page.evaluate(PLAY, f"/{name}")
        browser.close()


@pytest.mark.parametrize("name", FORMS)
def test_chromium_plays_a_browsers_recording_each_frame_at_its_time(play, name):
    seen = play(name)
    assert seen["end"] == "ended"
    assert (seen["width"], seen["height"], seen["frames"]) == (160, 120, len(TIMES_MS))
    assert seen["duration"] == pytest.approx(1.5 + 1.5 / 10, abs=0.002)
    assert (seen["sound"] > 0) is name.startswith("sound")
    assert seen["times"][-1] == pytest.approx(1.5, abs=0.001)
    for time_s in seen["times"]:  # on a busy machine it leaves some out
        assert min(abs(time_s - time_ms / 1000) for time_ms in TIMES_MS) < 0.001


def test_chromium_shows_a_phones_clip_upright(play):
    seen = play("phone.mp4")
    assert (seen["end"], seen["width"], seen["height"]) == ("ended", 48, 64)
