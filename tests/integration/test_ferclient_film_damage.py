"""Films that are cut, damaged or none: what is read of them, and what is said."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from ferclient.terminal import film
from ferclient.terminal.commands import Failure
from ferclient.terminal.extent import measure_extent
from tests.support.films import (
    BROWSERS_TIMES_MS,
    QUARTERS,
    browser_recording,
    codecs,
    copied,
    greys,
    times_of,
    write_film,
)


@pytest.fixture
def recorded(tmp_path) -> Path:
    return browser_recording(tmp_path / "recorded.webm")


def test_a_film_is_measured_by_its_packets_not_by_what_it_says(recorded, tmp_path):
    found = measure_extent(recorded)
    assert (found.frames, found.is_whole) == (len(BROWSERS_TIMES_MS), True)
    gaps = write_film(tmp_path / "gaps.avi", greys(4), (0, 40, 400, 440), codec="mpeg4")
    assert cv2.VideoCapture(str(gaps)).get(cv2.CAP_PROP_FRAME_COUNT) > 100  # an AVI counts its gaps
    assert measure_extent(gaps).frames == 4


@pytest.mark.parametrize(
    ("name", "codec", "is_live"),
    [
        ("c.webm", "libvpx", False),
        ("live.webm", "libvpx", True),
        ("c.avi", "mjpeg", False),
        ("c.mkv", "ffv1", False),
    ],
)
def test_a_film_that_is_cut_gives_what_is_there_and_is_known_to_be_cut(tmp_path, name, codec, is_live):
    noise = np.random.default_rng(3).integers(0, 255, (30, 48, 64, 3), np.uint8)
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    whole = write_film(
        tmp_path / name, list(noise), range(0, 3000, 100), codec=codec, pixels=pixels, is_live=is_live
    )
    assert measure_extent(whole).is_whole
    data = whole.read_bytes()
    whole.write_bytes(data[: len(data) // 2 + 7])
    found = measure_extent(whole)
    assert not found.is_whole
    assert 5 < len(times_of(whole)) <= found.frames < 25


def test_a_film_that_is_cut_between_two_frames_is_known_by_its_stated_length(tmp_path):
    whole = write_film(tmp_path / "c.flv", greys(30), range(0, 3000, 100), codec="flv")
    with av.open(str(whole)) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.size]
    whole.write_bytes(whole.read_bytes()[: places[15]])
    found = measure_extent(whole)
    assert (found.frames, found.is_whole) == (15, False)


def test_a_cut_mp4_whose_index_comes_first_gives_what_is_there(recorded, tmp_path):
    noise = list(np.random.default_rng(3).integers(0, 255, (30, 48, 64, 3), np.uint8))
    source = write_film(tmp_path / "n.mkv", noise, range(0, 3000, 100))
    whole = copied(source, tmp_path / "n.mp4")
    data = whole.read_bytes()
    whole.write_bytes(data[: len(data) // 2])
    assert not measure_extent(whole).is_whole
    assert 5 < len(times_of(whole)) < 25


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("text.txt", "is no film, or an mp4 that lacks its end"),
        ("empty.mp4", "is no film, or an mp4 that lacks its end"),
        ("cut.mp4", "is no film, or an mp4 that lacks its end"),
        ("music.mp3", "has no video, only sound"),
        ("cover.mp3", "has no video, only sound"),
        ("nothing.mp4", "has no frame that can be read"),
    ],
)
def test_what_is_no_film_is_said_in_one_line(tmp_path, name, words):
    path = tmp_path / name
    match name:
        case "text.txt":
            path.write_text("no film")
        case "empty.mp4":
            path.write_bytes(b"")
        case "cut.mp4":
            path.write_bytes(write_film(path, greys(9), range(0, 360, 40)).read_bytes()[:-400])
        case "nothing.mp4":
            data = bytearray(write_film(path, greys(2), (0, 40)).read_bytes())
            start = data.index(b"mdat") + 4
            data[start : data.index(b"moov", start) - 4] = bytes(data.index(b"moov", start) - 4 - start)
            path.write_bytes(data)
        case _:
            with av.open(str(path), "w") as container:
                tone = container.add_stream("libmp3lame", 48000, layout="mono")
                frame = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.float32), "fltp", "mono")
                frame.sample_rate = 48000
                packets = []
                if name == "cover.mp3":
                    cover = container.add_stream("png", 25, width=64, height=48, pix_fmt="rgb24")
                    cover.disposition = av.stream.Disposition.attached_pic
                    picture = av.VideoFrame.from_ndarray(QUARTERS, format="rgb24")
                    packets = [*cover.encode(picture), *cover.encode(None)]
                container.mux([*packets, *tone.encode(frame), *tone.encode(None)])
    with pytest.raises(Failure, match=words), film.open_film(path):
        pass


def test_a_codec_that_nobody_knows_is_no_crash(tmp_path):
    path = write_film(tmp_path / "new.mp4", greys(3), (0, 40, 80), sound="aac")
    data = path.read_bytes()
    path.write_bytes(data.replace(b"mp4a", b"apac").replace(b"esds", b"zsds"))  # as phones' spatial sound
    assert codecs(copied(path, tmp_path / "o.mp4")) == ["h264"]
    path.write_bytes(data.replace(b"avc1", b"zzz1").replace(b"avcC", b"zzzC"))
    with pytest.raises(Failure, match="has no frame that can be read"), film.open_film(path):
        pass
