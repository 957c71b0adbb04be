"""`python -m ferclient webcam` on a short film as its camera, against a scripted server."""

import json
from pathlib import Path

import cv2
import httpx
import pytest

from ferclient import Client
from ferclient.terminal import webcam
from tests.support.ferserver import (
    TREND,
    Session,
    answering_in_thread,
    problem,
    streaming_in_thread,
    usual,
)
from tests.support.ferterminal import FRAMES, has_box, run, write_clip


@pytest.fixture
def clip(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_clip(tmp_path / "clip.mp4")


def test_a_camera_is_printed_as_json_lines_each_frame_under_its_own_number(clip, capsys):
    with streaming_in_thread(usual) as url:
        assert run("webcam", "--camera", str(clip), "--no-window", url=url) == 0
    out, err = capsys.readouterr()
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["type"] for line in lines] == ["result"] * (len(lines) - 1) + ["stats"]
    numbers = [line["frame"] for line in lines[:-1]]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == FRAMES - 1
    assert lines[0]["faces"][0]["face_id"] == 1
    assert err == ""


def test_a_prior_is_asked_for_at_the_start_and_stands_in_every_line(clip, capsys):
    starts = []

    async def assumes(session: Session) -> None:
        await session.begin()
        starts.append(session.start)
        while (found := await session.frame()) is not None:
            await session.result(found[0], prior={"name": "auto", "shares": {"happiness": 1}})
        await session.end()

    with streaming_in_thread(assumes) as url:
        assert run("webcam", "--camera", str(clip), "--no-window", "--prior", "auto", url=url) == 0
    assert starts == [{"type": "start", "prior": "auto"}]
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert first["prior"] == {"name": "auto", "shares": {"happiness": 1}}


def test_what_befalls_a_camera_is_told(clip, capsys):
    async def goes(session: Session) -> None:
        await session.begin()
        emotions = {"emotions": ["anger"], "at": "2026-11-21T10:00:00Z"}
        await session.say("alert", rule="negative", share=0.7, window_s=60, **emotions)
        await session.frame()
        session.socket.transport.abort()

    with streaming_in_thread(goes, usual) as url:
        assert run("webcam", "--camera", str(clip), "--no-window", url=url) == 0
    out, err = capsys.readouterr()
    kinds = [json.loads(line)["type"] for line in out.splitlines()]
    lost = kinds[1 : kinds.index("reconnected")]
    assert kinds[0] == "alert"
    assert lost in (["error"], ["error", "error"])  # at most two frames are in flight
    assert "alert negative: 70% of the last 60 s" in err
    assert "the server went away; trying again" in err


def test_without_windows_the_way_out_is_told(clip, capsys):
    build = next(line for line in cv2.getBuildInformation().splitlines() if "GUI:" in line)
    if "NONE" not in build:
        pytest.skip("this OpenCV has windows")
    with streaming_in_thread(usual) as url:
        assert run("webcam", "--camera", str(clip), url=url) == 1
    assert "use --no-window, or replace opencv-python-headless" in capsys.readouterr().err


@pytest.mark.parametrize(("key", "is_visible"), [(ord("q"), 1.0), (27, 1.0), (-1, 0.0)])
def test_a_window_shows_boxes_until_a_key_or_its_closing(clip, monkeypatch, capsys, key, is_visible):
    shown = []
    monkeypatch.setattr(cv2, "namedWindow", lambda *_: None)
    monkeypatch.setattr(cv2, "imshow", lambda _, image: shown.append(image.copy()))
    monkeypatch.setattr(cv2, "waitKey", lambda _: key if len(shown) == 2 else -1)
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: is_visible if len(shown) == 2 else 1.0)
    with streaming_in_thread(usual) as url:
        assert run("webcam", "--camera", str(clip), url=url) == 0
    assert len(shown) == 2
    assert all(has_box(image) for image in shown)


def test_a_recorded_session_is_told_at_the_end(capsys):
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url.path))
        return httpx.Response(200, json=TREND)

    with answering_in_thread(answer) as url, Client(url) as client:
        story = webcam._summarize(client, "0" * 32)
    assert asked == [f"/sessions/{'0' * 32}/trend"]
    assert "4 faces seen: anger 75%, fear 25%; valence -1.00; kept until 2026-11-22 10:00 UTC" in story
    assert f"curl -X DELETE {url}/sessions/{'0' * 32}" in story


def test_a_session_whose_trend_is_gone_does_not_hide_how_the_command_ended():
    with answering_in_thread(lambda _: problem(404, "unknown_session")) as url, Client(url) as client:
        assert "no trend: unknown_session" in webcam._summarize(client, "0" * 32)
