"""`python -m ferclient predict`: which images, what is written, which exit code."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import httpx
import pytest

from ferclient.terminal.commands import main
from ferclient.terminal.files import find_images, free_name, whole_file
from tests.support.ferserver import FACE, PREDICTION, answering_in_thread, problem
from tests.support.images import portrait_jpeg
from tests.support.ports import free_port

ROOT = Path(__file__).parent.parent.parent


def answer(request: httpx.Request) -> httpx.Response:
    """By its bytes: nobody is on an image that says so, and a bad one is refused."""
    if request.content == b"bad":
        return problem(422, "invalid_image")
    faces = [] if request.content == b"nobody" else [FACE, FACE | {"uncertain": True, "score": 0.4}]
    return httpx.Response(200, json=PREDICTION | {"faces": faces})


@pytest.fixture
def url():
    with answering_in_thread(answer) as url:
        yield url


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.jpg", "a.PNG", "deep/c.webp", "deep/er/d.jpeg", "notes.txt"):
        path = Path("pics") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"picture")
    return tmp_path


def run(*arguments: str, url: str = "http://127.0.0.1:9") -> int:
    try:
        return main([*arguments], default_url=url)
    except SystemExit as err:  # argparse ends so
        return int(str(err.code))


def test_a_folder_means_the_images_in_it_and_below(folder):
    found = ["pics/a.PNG", "pics/b.jpg", "pics/deep/c.webp", "pics/deep/er/d.jpeg"]
    assert [str(path) for path in find_images(["pics"])] == found


def test_patterns_are_expanded_and_each_file_is_named_once(folder):
    assert find_images(["pics/*.jpg", "pics/b.jpg"]) == [Path("pics/b.jpg")]
    assert [path.name for path in find_images(["pics/**/*.*p*g"])] == ["b.jpg", "d.jpeg"]
    assert find_images([str(folder / "pics" / "*.jpg")]) == [folder / "pics/b.jpg"]
    assert find_images(["pics/*.gif"]) == []


def test_a_name_with_brackets_is_a_file_if_there_is_one_and_an_absent_name_stays(folder):
    Path("x[1].jpg").write_bytes(b"picture")
    assert find_images(["x[1].jpg", "absent.jpg"]) == [Path("x[1].jpg"), Path("absent.jpg")]


def test_the_table_has_a_line_for_each_face(folder, url, capsys):
    Path("nobody.jpg").write_bytes(b"nobody")
    assert run("predict", "pics/b.jpg", "nobody.jpg", url=url) == 0
    out, err = capsys.readouterr()
    assert [line.split() for line in out.splitlines()] == [
        ["FILE", "FACE", "EMOTION", "SCORE", "BOX", "(x", "y", "width", "height)"],
        ["pics/b.jpg", "1", "happiness", "1.00", "20", "10", "30", "40"],
        ["pics/b.jpg", "2", "happiness", "0.40?", "20", "10", "30", "40"],
        ["nobody.jpg", "-", "no", "face"],
    ]
    assert err == ""


def test_one_bad_file_is_a_row_with_its_error_and_the_exit_code_is_1(folder, url, capsys):
    Path("bad.jpg").write_bytes(b"bad")
    assert run("predict", "bad.jpg", "absent.jpg", "pics/b.jpg", url=url) == 1
    lines = capsys.readouterr().out.splitlines()[1:]
    assert lines[0].split(None, 2) == ["bad.jpg", "-", "invalid_image: it is invalid_image"]
    assert lines[1].split(None, 2) == ["absent.jpg", "-", "unreadable_file: No such file or directory"]
    assert len(lines) == 4


def test_json_lines_are_the_servers_answers_with_the_files_name(folder, url, capsys):
    Path("bad.jpg").write_bytes(b"bad")
    assert run("predict", "pics/b.jpg", "bad.jpg", "absent.jpg", "--format", "jsonl", url=url) == 1
    first, second, third = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["file"] == "pics/b.jpg"
    assert [face["emotion"] for face in first["faces"]] == ["happiness", "happiness"]
    error = {"code": "invalid_image", "detail": "it is invalid_image", "request_id": "r9"}
    assert second == {"file": "bad.jpg", "error": error}
    assert third["error"]["code"] == "unreadable_file"


def test_csv_has_a_row_for_each_face_and_for_what_has_none(folder, url):
    Path("bad.jpg").write_bytes(b"bad")
    Path("nobody.jpg").write_bytes(b"nobody")
    assert (
        run("predict", "pics/b.jpg", "bad.jpg", "nobody.jpg", "--format", "csv", "--output", "o.csv", url=url)
        == 1
    )
    rows = list(csv.DictReader(io.StringIO(Path("o.csv").read_text())))
    assert [(row["file"], row["face"], row["emotion"]) for row in rows] == [
        ("pics/b.jpg", "1", "happiness"),
        ("pics/b.jpg", "2", "happiness"),
        ("bad.jpg", "", ""),
        ("nobody.jpg", "", ""),
    ]
    assert rows[0]["width"] == "30.0"
    assert rows[0]["contempt"] == "0.0"
    assert rows[2]["error"] == "invalid_image: it is invalid_image"
    assert rows[3]["error"] == ""


def test_options_reach_the_server(folder):
    seen = []

    def note(request: httpx.Request) -> httpx.Response:
        seen.append(dict(request.url.params))
        return answer(request)

    with answering_in_thread(note) as url:
        options = ("--model", "cnn3", "--min-score", "0.7", "--max-faces", "2", "--url", url)
        assert run("predict", "pics/b.jpg", *options) == 0
        assert run("predict", "pics/b.jpg", "--prior", "happiness:3,neutral:1", "--url", url) == 0
    assert seen == [
        {"model": "cnn3", "min_score": "0.7", "max_faces": "2"},
        {"prior": "happiness:3,neutral:1"},
    ]


@pytest.mark.parametrize(
    ("prior", "reason"),
    [("auto", "auto is for live streams only"), ("joy:1", "'joy' is none of the emotions neutral")],
)
def test_a_wrong_prior_is_told_before_anything_is_sent(folder, capsys, prior, reason):
    assert run("predict", "pics", "--prior", prior) == 2
    assert f"error: --prior {prior}: {reason}" in capsys.readouterr().err


def test_drawn_images_have_the_box(folder, url):
    Path("me.jpg").write_bytes(portrait_jpeg())
    Path("pics/me.jpg").write_bytes(portrait_jpeg())
    assert run("predict", "me.jpg", "pics/me.jpg", "--draw", "out", url=url) == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["me-2.jpg", "me.jpg"]
    before, after = cv2.imread("me.jpg"), cv2.imread("out/me.jpg")
    changed = (abs(after.astype(int) - before).sum(axis=2) > 100).nonzero()
    assert 45 < changed[0].max() < 56
    assert after.shape == before.shape


def test_an_image_that_cannot_be_drawn_is_told_and_counts_as_failed(folder, url, capsys):
    assert run("predict", "pics/b.jpg", "--draw", "out", url=url) == 1
    assert "not drawn: OpenCV cannot read pics/b.jpg" in capsys.readouterr().err
    assert list(Path("out").iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("paint",),
        ("predict",),
        ("predict", "pics", "--format", "xml"),
        ("predict", "pics", "--concurrency", "0"),
        ("predict", "pics", "--min-score", "2"),
        ("predict", "pics", "--model", "no/name"),
        ("predict", "pics", "--patience", "-1"),
        ("predict", "pics", "--url", "somewhere"),
        ("predict", "nothing/*.jpg"),
    ],
)
def test_wrong_use_is_exit_code_2_with_a_sentence(folder, arguments, capsys):
    assert run(*arguments) == 2
    err = capsys.readouterr().err
    assert "error: " in err
    assert "Traceback" not in err


def test_an_unknown_model_is_wrong_use_and_no_file_is_left(folder, capsys):
    with answering_in_thread(lambda _: problem(404, "unknown_model")) as url:
        assert run("predict", "pics", "--output", "o.txt", url=url) == 2
    assert "it is unknown_model" in capsys.readouterr().err
    assert sorted(path.name for path in folder.iterdir()) == ["pics"]


def test_nobody_there_is_exit_code_3(folder, capsys):
    nowhere = f"http://127.0.0.1:{free_port()}"
    assert run("predict", "pics", "--patience", "0", url=nowhere) == 3
    assert capsys.readouterr().err == f"error: nobody answers at {nowhere}: Connection refused\n"


def test_a_server_that_cannot_serve_is_exit_code_3(folder, capsys):
    with answering_in_thread(lambda _: problem(503, "not_ready")) as url:
        assert run("predict", "pics", "--patience", "0.2", url=url) == 3


def test_opencv_is_asked_for_in_one_line_where_it_is_missing(folder, url, monkeypatch, capsys):
    for name in [name for name in sys.modules if name.startswith("ferclient.terminal.")]:
        if name.rsplit(".", 1)[1] in ("drawing", "frames", "video", "webcam"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cv2", None)
    monkeypatch.setattr(sys.modules["ferclient.terminal"], "drawing", None, raising=False)
    monkeypatch.delattr(sys.modules["ferclient.terminal"], "drawing")
    for command in (("video", "x.mp4"), ("webcam",), ("predict", "pics", "--draw", "out")):
        assert run(*command, url=url) == 1
        assert "this needs OpenCV: pip install opencv-python" in capsys.readouterr().err


def test_pyav_is_asked_for_in_one_line_where_it_is_missing(tmp_path):
    Path(tmp_path / "x.mp4").write_bytes(b"film")
    script = (
        "import sys; sys.modules['av'] = None\n"
        "from ferclient.terminal.commands import main\n"
        "sys.exit(main(['video', 'x.mp4'], default_url='http://127.0.0.1:9'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: this needs PyAV: pip install av\n"


def start(*arguments: str, url: str, cwd: Path) -> subprocess.Popen:
    """Run the command as a person does, apart from this process."""
    return subprocess.Popen(
        [sys.executable, "-m", "ferclient", *arguments],
        cwd=cwd,
        env=os.environ | {"FER_URL": url, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_ctrl_c_is_exit_code_130_and_leaves_no_half_written_file(folder):
    is_asked = threading.Event()

    def slow(request: httpx.Request) -> httpx.Response:
        is_asked.set()
        time.sleep(0.2)
        return answer(request)

    for number in range(200):
        Path(f"pics/{number}.jpg").write_bytes(b"picture")
    with answering_in_thread(slow) as url:
        process = start("predict", "pics", "--output", "o.txt", url=url, cwd=folder)
        assert is_asked.wait(30)
        assert list(folder.glob(".o.*"))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert err.strip() == "stopped"
    assert out == ""
    assert sorted(path.name for path in folder.iterdir()) == ["pics"]


def test_a_reader_that_has_seen_enough_causes_no_traceback(folder, url):
    for number in range(3000):
        Path(f"pics/{number}.jpg").write_bytes(b"nobody")
    process = start("predict", "pics", url=url, cwd=folder)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("FILE")
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    assert process.wait(60) == 1
    process.stderr.close()
    assert err == ""


def test_help_has_exit_codes_and_examples():
    for command in ((), ("predict",), ("video",), ("webcam",)):
        done = subprocess.run(
            [sys.executable, "-m", "ferclient", *command, "--help"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert "python -m ferclient" in done.stdout
        assert "examples:" in done.stdout.lower()
        assert ("130" in done.stdout) is (not command)


def test_a_file_is_whole_or_not_there(tmp_path):
    target = tmp_path / "o.mp4"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError), whole_file(target) as part:  # noqa: PT012  # the block is the point
        part.write_text("half")
        assert part.suffix == ".mp4"
        raise ZeroDivisionError
    assert target.read_text() == "old"
    with whole_file(target) as part:
        part.write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["o.mp4"]
    assert target.read_text() == "new"


def test_two_files_of_one_name_get_two_names(tmp_path):
    taken: set[Path] = set()
    assert [free_name(tmp_path, "a", ".jpg", taken).name for _ in range(3)] == ["a.jpg", "a-2.jpg", "a-3.jpg"]
