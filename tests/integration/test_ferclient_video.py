"""`python -m ferclient video` on short films made here, against a scripted server."""

import csv
import os
import pty
import re
import resource
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.support.ferserver import Session, streaming_in_thread, usual
from tests.support.ferterminal import FRAMES, has_box, run, write_clip
from tests.support.films import BROWSERS_TIMES_MS, codecs, duration_s, greys, read_film, write_film

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def clip(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_clip(tmp_path / "clip.mp4")


def images(path: Path) -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(path))
    found: list[np.ndarray] = []
    while True:
        is_read, image = capture.read()
        if not is_read:
            return found
        found.append(image)


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def start(*arguments: str, url: str, **options: Any) -> subprocess.Popen:
    """Run the command as a person does, apart from this process."""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(
        [sys.executable, "-m", "ferclient", *arguments],
        env=os.environ | {"FER_URL": url, "PYTHONPATH": str(ROOT)},
        **pipes | options,
    )


def brightness_of(data: bytes) -> float:
    return float(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE).mean())


def test_a_video_comes_back_whole_with_boxes_and_a_row_for_each_frame(clip, capsys):
    seen = []

    async def script(session: Session) -> None:
        await session.begin()
        while (found := await session.frame()) is not None:
            seen.append(brightness_of(found[1]))
            await session.result(found[0])
        await session.end()

    with streaming_in_thread(script) as url:
        assert run("video", str(clip), url=url) == 0
    assert seen == sorted(seen)
    assert len(seen) == FRAMES
    drawn = images(Path("clip_annotated.mp4"))
    assert len(drawn) == FRAMES
    assert all(image.shape == (120, 160, 3) and has_box(image) for image in drawn)
    assert [int(image[100, 140].mean() / 20 + 0.5) for image in drawn] == list(range(FRAMES))
    table = rows(Path("clip_annotated.csv"))
    assert [int(row["frame"]) for row in table] == list(range(FRAMES))
    assert [float(row["time_s"]) for row in table] == pytest.approx([n / 10 for n in range(FRAMES)])
    assert {(row["face_id"], row["smoothed_emotion"], row["part"]) for row in table} == {
        ("1", "happiness", "1")
    }
    assert "12 frames analysed, 0 of them failed" in capsys.readouterr().err


@pytest.fixture
def recorded(tmp_path, monkeypatch) -> Path:
    """What a browser records: sound, a pause, no duration, no rate."""
    monkeypatch.chdir(tmp_path)
    images = greys(len(BROWSERS_TIMES_MS))
    return write_film(
        Path("recorded.webm"), images, BROWSERS_TIMES_MS, codec="libvpx", sound="libopus", is_live=True
    )


@pytest.mark.parametrize(("output", "coded"), [("o.mp4", ["h264", "opus"]), ("o.webm", ["vp9", "opus"])])
def test_each_frame_comes_back_at_its_own_time_with_its_own_boxes_and_the_sound(recorded, output, coded):
    async def box_on_every_other(session: Session) -> None:
        await session.begin()
        while (found := await session.frame()) is not None:
            await session.result(found[0], **({} if found[0] % 2 else {"faces": []}))
        await session.end()

    times_s = [time_ms / 1000 for time_ms in BROWSERS_TIMES_MS]
    with streaming_in_thread(box_on_every_other) as url:
        assert run("video", str(recorded), "--output", output, "--csv", "o.csv", url=url) == 0
    times, images = read_film(Path(output))
    assert times == pytest.approx(times_s, abs=0.001)
    assert [has_box(image) for image in images] == [False, True] * 5
    assert duration_s(Path(output)) == pytest.approx(1, abs=0.05)  # that of the sound
    assert codecs(Path(output)) == coded
    assert [float(row["time_s"]) for row in rows(Path("o.csv"))] == pytest.approx(times_s)


def test_a_clip_that_was_held_upside_down_is_sent_and_comes_back_upright(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen = []

    async def script(session: Session) -> None:
        await session.begin()
        while (found := await session.frame()) is not None:
            seen.append(cv2.imdecode(np.frombuffer(found[1], np.uint8), cv2.IMREAD_COLOR))
            await session.result(found[0], faces=[])
        await session.end()

    stored = np.zeros((120, 160, 3), np.uint8)
    stored[60:] = 255  # white below, as the sensor saw it
    write_film(Path("phone.mp4"), [stored] * 3, (0, 40, 80), matrix=(-1, 0, 0, -1))
    with streaming_in_thread(script) as url:
        assert run("video", "phone.mp4", url=url) == 0
    for image in (*seen, *read_film(Path("phone_annotated.mp4"))[1]):
        assert image[10].mean() > 240
        assert image[110].mean() < 15


def bars_of(url: str, *arguments: str) -> tuple[int, list[str]]:
    """Run the command before a terminal; gives its exit code and each state of its progress bar."""
    reader, writer = pty.openpty()
    termios.tcsetwinsize(writer, (24, 80))
    with start("video", *arguments, url=url, stderr=writer) as process:
        os.close(writer)
        shown = b""
        try:
            while data := os.read(reader, 4096):
                shown += data
        except OSError:  # Linux says so that nobody writes any more
            pass
        os.close(reader)
    return process.returncode, re.findall(r"\d+%\|[^|]*\| \d+/\d+", shown.decode())


@pytest.mark.parametrize(("every", "end"), [("1", "10/10"), ("3", "4/4")])
def test_the_progress_bar_ends_at_100_percent_though_the_film_tells_no_number(recorded, every, end):
    with streaming_in_thread(usual) as url:
        code, bars = bars_of(url, str(recorded), "--every", every)
    assert code == 0
    assert bars[0].startswith("0%")
    assert bars[-1].startswith("100%")
    assert bars[-1].endswith(end)


def test_the_progress_bar_ends_at_100_percent_though_a_frame_cannot_be_decoded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    noise = list(np.random.default_rng(3).integers(0, 255, (10, 48, 64, 3), np.uint8))
    write_film(Path("n.mov"), noise, range(0, 400, 40), codec="png", pixels="rgb24")
    data = bytearray(Path("n.mov").read_bytes())
    middle = len(data) // 2
    data[middle - 100 : middle + 100] = bytes(200)
    Path("n.mov").write_bytes(data)
    with streaming_in_thread(usual) as url:
        code, bars = bars_of(url, "n.mov")
    assert code == 1
    assert bars[0].endswith("/10")
    assert bars[-1].startswith("100%")
    assert bars[-1].endswith("9/9")


def test_a_film_that_is_cut_is_annotated_as_far_as_it_goes_and_that_is_said(recorded, capsys):
    data = recorded.read_bytes()
    recorded.write_bytes(data[: len(data) * 2 // 3])
    with streaming_in_thread(usual) as url:
        assert run("video", str(recorded), url=url) == 1
    frames = len(read_film(Path("recorded_annotated.mp4"))[0])
    assert 0 < frames < len(BROWSERS_TIMES_MS)
    assert len(rows(Path("recorded_annotated.csv"))) == frames
    assert "recorded.webm is cut or damaged" in capsys.readouterr().err


@pytest.mark.parametrize("output", ["o.mp4", "o.webm"])
def test_a_full_disk_is_said_in_one_line_and_leaves_no_file(tmp_path, monkeypatch, output):
    monkeypatch.chdir(tmp_path)
    noise = list(np.random.default_rng(3).integers(0, 255, (30, 120, 160, 3), np.uint8))
    write_film(Path("n.mp4"), noise, range(0, 1200, 40))
    for name in [name for name in os.environ if name.startswith("COVERAGE_")]:
        monkeypatch.delenv(name)  # else coverage, which has no room for its own file, says so
    with streaming_in_thread(usual) as url:
        process = start(
            *("video", "n.mp4", "--output", output, "--csv", "o.csv"),
            url=url,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
        )
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (1, "", f"error: {output} cannot be written: File too large\n")
    left = {path.name for path in Path().iterdir()} - {"n.mp4"}
    assert left <= {"o.csv"}  # whole, if the film failed only at its end
    assert all(len(rows(Path(name))) == 30 for name in left)


def test_every_third_frame_is_analysed_and_the_others_keep_its_boxes(clip):
    async def first_only(session: Session) -> None:
        await session.begin()
        await session.result((await session.frame())[0])
        while (found := await session.frame()) is not None:
            await session.result(found[0], faces=[])
        await session.end()

    with streaming_in_thread(first_only) as url:
        arguments = ("--every", "3", "--output", "o.mp4", "--csv", "o.csv")
        assert run("video", str(clip), *arguments, url=url) == 0
    assert [has_box(image) for image in images(Path("o.mp4"))] == [True] * 3 + [False] * 9
    assert [(row["frame"], row["face_id"]) for row in rows(Path("o.csv"))] == [
        ("0", "1"),
        ("3", ""),
        ("6", ""),
        ("9", ""),
    ]


def test_only_what_is_asked_for_is_written(clip):
    with streaming_in_thread(usual) as url:
        assert run("video", str(clip), "--csv", "o.csv", url=url) == 0
    assert sorted(path.name for path in Path().iterdir()) == ["clip.mp4", "o.csv"]


def test_frames_that_fail_are_marked_and_the_exit_code_is_1(clip, capsys):
    async def script(session: Session) -> None:
        await session.begin()
        while (found := await session.frame()) is not None:
            if found[0] == 4:
                await session.error(4, "internal")
            else:
                await session.result(found[0])
        await session.end()

    with streaming_in_thread(script) as url:
        assert run("video", str(clip), url=url) == 1
    table = rows(Path("clip_annotated.csv"))
    assert [row["error"] for row in table if row["error"]] == ["internal: it is internal"]
    assert [has_box(image) for image in images(Path("clip_annotated.mp4"))].index(False) == 4
    assert "1 of them failed" in capsys.readouterr().err


def test_a_gateway_that_goes_away_costs_no_frame_and_begins_a_new_part(clip, capsys):
    async def goes(session: Session) -> None:
        await session.begin()
        for _ in range(5):
            await session.result((await session.frame())[0])
        await session.frame()
        await session.socket.close(1012, "restart")

    with streaming_in_thread(goes, usual) as url:
        assert run("video", str(clip), url=url) == 0
    parts = [row["part"] for row in rows(Path("clip_annotated.csv"))]
    assert parts == ["1"] * 5 + ["2"] * 7
    assert "face ids begin anew" in capsys.readouterr().err


def test_a_gateway_that_stays_away_is_exit_code_3_and_leaves_no_file(clip):
    async def goes(session: Session) -> None:
        await session.begin()
        await session.result((await session.frame())[0])
        session.socket.transport.abort()

    async def refuses(session: Session) -> None:
        session.socket.transport.abort()

    with streaming_in_thread(goes, refuses) as url:
        assert run("video", str(clip), "--patience", "0.3", url=url) == 3
    assert [path.name for path in Path().iterdir()] == ["clip.mp4"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("absent.mp4",), 1),
        (("text.txt",), 1),
        (("clip.mp4", "--every", "0"), 2),
        (("clip.mp4", "--smoothing", "0"), 2),
        (("clip.mp4", "--output", "clip.mp4"), 2),
        (("clip.mp4", "--output", "o.mp4", "--csv", "o.mp4"), 2),
        (("clip.mp4", "--output", "absent/o.mp4"), 1),
        (("clip.mp4", "--output", "o.nothing"), 1),
        (("clip.mp4", "--output", "/proc/o.mp4"), 1),
        (("clip.mp4", "--output", "/dev/full/o.mp4"), 1),
        (("/",), 1),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(clip, arguments, code, capsys):
    Path("text.txt").write_text("no video")
    with streaming_in_thread(usual) as url:
        assert run("video", *arguments, url=url) == code
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert sorted(path.name for path in Path().iterdir()) == ["clip.mp4", "text.txt"]


def test_a_model_that_is_not_there_is_exit_code_2(clip, capsys):
    async def script(session: Session) -> None:
        await session.socket.recv()
        await session.error(None, "unknown_model")
        await session.socket.close(1008, "unknown_model")

    with streaming_in_thread(script) as url:
        assert run("video", str(clip), "--model", "nobody", url=url) == 2


def test_ctrl_c_in_mid_video_is_130_and_leaves_no_half_written_file(clip):
    async def stalls(session: Session) -> None:
        await session.begin()
        await session.result((await session.frame())[0])
        await session.socket.wait_closed()

    with streaming_in_thread(stalls) as url:
        process = start("video", str(clip), url=url)
        deadline = time.monotonic() + 30
        while len(list(Path().glob(".clip_annotated.*"))) < 2:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert (out, err.strip()) == ("", "stopped")
    assert [path.name for path in Path().iterdir()] == ["clip.mp4"]
