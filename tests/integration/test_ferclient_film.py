"""What is read of films and how they are written again: times, sides, colours, memory."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from ferclient.terminal import film
from ferclient.terminal.film_writer import open_writer
from ferclient.terminal.frames import TimedFrame
from tests.support.films import (
    BROWSERS_TIMES_MS,
    QUARTERS,
    browser_recording,
    copied,
    duration_s,
    greys,
    read_film,
    times_of,
    write_film,
)

ROOT = Path(__file__).parent.parent.parent


TIMES_S = [time_ms / 1000 for time_ms in BROWSERS_TIMES_MS]


MATRICES = {
    "as it is": (1, 0, 0, 1),
    "clockwise": (0, 1, -1, 0),
    "upside down": (-1, 0, 0, -1),
    "counter-clockwise": (0, -1, 1, 0),
    "mirrored": (-1, 0, 0, 1),
    "flipped": (1, 0, 0, -1),
    "transposed": (0, 1, 1, 0),
    "transverse": (0, -1, -1, 0),
}


def stored_for(matrix: tuple[int, int, int, int], upright: np.ndarray) -> np.ndarray:
    """Give the image that the matrix maps to `upright`, point by point: (x, y) to (ax + cy, bx + dy)."""
    a, b, c, d = matrix
    height, width = upright.shape[:2]
    shape = (width, height, 3) if b else (height, width, 3)
    stored = np.zeros(shape, np.uint8)
    for y, x in np.ndindex(shape[:2]):
        shown_x = a * x + c * y + (width - 1 if a + c < 0 else 0)
        shown_y = b * x + d * y + (height - 1 if b + d < 0 else 0)
        stored[y, x] = upright[shown_y, shown_x]
    return stored


@pytest.fixture
def recorded(tmp_path) -> Path:
    return browser_recording(tmp_path / "recorded.webm")


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".webm"])
def test_each_frame_of_a_browsers_recording_keeps_its_time(recorded, tmp_path, suffix):
    with av.open(str(recorded)) as container:
        assert (container.duration, container.streams.video[0].average_rate) == (None, None)
    times, images = read_film(copied(recorded, tmp_path / f"o{suffix}"))
    assert times == pytest.approx(TIMES_S, abs=1e-9)
    assert [round((image.mean() - 10) / 23.5) for image in images] == list(range(len(TIMES_S)))
    # what the last frame lasts is nowhere said; a mean interval is 89 ms here
    assert duration_s(tmp_path / f"o{suffix}") == pytest.approx(0.8 + 0.8 / 9, abs=0.001)


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_a_last_frame_that_says_how_long_it_is_shown_keeps_that(tmp_path, suffix):
    source = write_film(tmp_path / "slides.mp4", greys(3), (0, 500, 900), last_ms=1500)
    assert duration_s(copied(source, tmp_path / f"o{suffix}")) == pytest.approx(2.4, abs=0.001)


@pytest.mark.parametrize("name", ["f.mp4", "f.mkv", "f.mov", "f.webm", "f.ts", "f.flv"])
def test_times_are_those_that_opencv_tells(tmp_path, name):
    codec = {"webm": "libvpx", "flv": "flv"}.get(name[2:], "libx264")
    path = write_film(tmp_path / name, greys(4), (700, 733, 800, 900), codec=codec)
    capture, theirs = cv2.VideoCapture(str(path)), []
    while capture.read()[0]:
        theirs.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    assert len(theirs) == 4
    assert times_of(path) == pytest.approx(theirs)


def test_frames_without_any_time_come_at_the_usual_rate(tmp_path):
    path = write_film(tmp_path / "raw.h264", greys(5), (0, 40, 80, 120, 160))
    assert times_of(path) == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])
    assert read_film(copied(path, tmp_path / "o.mp4"))[0] == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])


def test_frames_of_one_and_the_same_time_are_all_written(tmp_path):
    source = tmp_path / "twice.webm"
    write_film(source, greys(4), (0, 40, 80, 120), codec="libvpx", is_live=True)
    with film.open_film(source) as video, open_writer(tmp_path / "o.mp4", video, source) as recording:
        for frame in video.frames():
            recording.add(TimedFrame(frame.index, min(frame.time_s, 0.08), frame.image))
    assert read_film(tmp_path / "o.mp4")[0] == pytest.approx([0, 0.04, 0.08, 0.081])


@pytest.mark.parametrize("matrix", MATRICES.values(), ids=MATRICES)
def test_a_film_is_read_and_written_upright_however_it_was_held(tmp_path, matrix):
    stored = stored_for(matrix, QUARTERS)
    source = write_film(tmp_path / "phone.mp4", [stored] * 2, (0, 40), matrix=matrix)
    with film.open_film(source) as video:
        read = next(video.frames()).image
    again = read_film(copied(source, tmp_path / "o.mp4"))[1][0]
    for image in (read, again):
        assert image.shape == QUARTERS.shape
        for y, x in ((12, 16), (12, 48), (36, 16), (36, 48)):
            assert np.abs(image[y, x].astype(int) - QUARTERS[y, x]).max() < 30


def test_an_image_with_exif_as_a_film_is_turned_though_pyav_gives_none_of_its_side_data(tmp_path):
    from PIL import Image  # noqa: PLC0415

    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    stored = np.ascontiguousarray(np.rot90(QUARTERS, 1)[:, :, ::-1])
    Image.fromarray(stored).save(tmp_path / "one.jpg", exif=exif, quality=95)
    with film.open_film(tmp_path / "one.jpg") as video:
        image = next(video.frames()).image
    assert image.shape == QUARTERS.shape
    assert np.abs(image[12, 48].astype(int) - QUARTERS[12, 48]).max() < 40


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
@pytest.mark.parametrize(("width", "height"), [(161, 120), (160, 121), (161, 121), (2, 2), (1, 1)])
def test_odd_sides_are_padded_by_one_pixel_and_the_others_stay(tmp_path, width, height, suffix):
    stripes = np.zeros((height, width, 3), np.uint8)
    stripes[:, np.arange(width) // 2 % 2 == 0] = 200
    path = tmp_path / "odd.mkv"
    source = write_film(path, [stripes] * 2, (0, 40), codec="ffv1", pixels="yuv444p")
    image = read_film(copied(source, tmp_path / f"o{suffix}"))[1][0]
    assert image.shape == (height + height % 2, width + width % 2, 3)
    assert np.abs(image[:height, :width].astype(int) - stripes).mean() < 8
    assert np.abs(image[:, -1].astype(int) - stripes[0, -1]).mean() < 12  # no black edge


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
@pytest.mark.parametrize(("aspect", "shape"), [(Fraction(4, 3), (48, 86)), (Fraction(1, 2), (96, 64))])
def test_oblong_pixels_become_square(tmp_path, aspect, shape, suffix):
    source = write_film(tmp_path / "dv.mp4", [QUARTERS] * 2, (0, 40), pixel_aspect=aspect)
    with film.open_film(source) as video:
        assert next(video.frames()).image.shape == QUARTERS.shape  # boxes are in stored pixels
    image = read_film(copied(source, tmp_path / f"o{suffix}"))[1][0]
    assert image.shape[:2] == shape
    assert image[-5, -5].min() > 200


def test_a_film_that_changes_its_size_is_fitted_into_the_first(tmp_path):
    path = tmp_path / "window.webm"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx", 25, width=160, height=120)
        for number, image in enumerate([*greys(2), np.full((60, 160, 3), 255, np.uint8)]):
            coder = av.CodecContext.create("libvpx", "w")  # a new one begins with a whole frame
            coder.height, coder.width, coder.pix_fmt = *image.shape[:2], "yuv420p"
            coder.time_base = Fraction(1, 25)
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            for packet in [*coder.encode(frame), *coder.encode(None)]:
                packet.stream = stream
                container.mux(packet)
    with film.open_film(path) as video:
        assert [frame.image.shape[0] for frame in video.frames()] == [120, 120, 60]
    image = read_film(copied(path, tmp_path / "o.mp4"))[1][2]
    assert image.shape == (120, 160, 3)
    assert image[60, 80].min() > 230
    assert image[10, 80].max() < 20


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("ten-bit.mp4", "libx264", "yuv420p10le"),
        ("grey.mkv", "ffv1", "gray"),
        ("alpha.mov", "png", "rgba"),
        ("full-range.mp4", "libx264", "yuvj420p"),
        ("rgb.mkv", "ffv1", "bgr0"),
    ],
)
@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_films_of_every_kind_of_pixels_keep_their_colours(tmp_path, name, codec, pixels, suffix):
    source = write_film(tmp_path / name, [QUARTERS] * 2, (0, 40), codec=codec, pixels=pixels)
    before, after = read_film(source)[1][0], read_film(copied(source, tmp_path / f"o{suffix}"))[1][0]
    for y, x in ((12, 16), (12, 48), (36, 16), (36, 48)):
        assert np.abs(after[y, x].astype(int) - before[y, x]).max() < 12


def test_grey_stays_grey(tmp_path):
    ramp = np.repeat(np.linspace(0, 255, 160).astype(np.uint8)[None, :, None], 3, axis=2).repeat(120, axis=0)
    target = copied(
        write_film(tmp_path / "ramp.mkv", [ramp] * 2, (0, 40), codec="ffv1", pixels="bgr0"),
        tmp_path / "o.mp4",
    )
    with av.open(str(target)) as container:
        colours = next(container.decode(video=0)).to_ndarray()[120:]  # the rows below the brightness
    assert colours.mean() == pytest.approx(128, abs=0.02)


def test_an_interlaced_film_is_read_though_opencv_sees_black(tmp_path):
    source = tmp_path / "camcorder.mp4"
    write_film(source, [QUARTERS] * 3, (0, 40, 80), is_interlaced=True)
    with av.open(str(source)) as container:
        assert next(container.decode(video=0)).interlaced_frame
    with film.open_film(source) as video:
        read = next(video.frames()).image
    for image in (read, read_film(copied(source, tmp_path / "o.mp4"))[1][0]):
        for y, x in ((12, 16), (12, 48), (36, 16), (36, 48)):
            assert np.abs(image[y, x].astype(int) - QUARTERS[y, x]).max() < 40


def test_an_mp4_begins_with_its_index_so_that_it_plays_while_it_is_loaded(recorded, tmp_path):
    data = copied(recorded, tmp_path / "o.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_a_name_that_looks_like_an_address_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = write_film(tmp_path / "a.mp4", greys(2), (0, 40)).rename(tmp_path / "http:b%03d.mp4")
    target = copied(Path(source.name), Path("pipe:1.mp4"))
    assert len(read_film(tmp_path / target)[0]) == 2


def test_the_memory_for_a_film_does_not_grow_with_its_length(tmp_path):
    script = (
        "import sys, pathlib, resource\n"
        "from ferclient.terminal import film, film_writer\n"
        "source, target = map(pathlib.Path, sys.argv[1:])\n"
        "with film.open_film(source) as f, film_writer.open_writer(target, f, target) as r:\n"
        "    for frame in f.frames(): r.add(frame)\n"
        "print(frame.index + 1, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )

    def peak_mb(frames: int) -> float:
        images = greys(3, width=320, height=240) * (frames // 3)
        source = write_film(tmp_path / "n.mp4", images, range(0, 40 * frames, 40), codec="mpeg4")
        done = subprocess.run(
            [sys.executable, "-c", script, str(source), str(tmp_path / "o.mp4")],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        count, peak_kb = map(int, done.stdout.split())
        assert count == frames
        return peak_kb / 1000

    assert peak_mb(900) - peak_mb(90) < 30  # 810 decoded frames are 93 MB, as BGR 187 MB
