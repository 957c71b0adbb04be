"""The sound of a film: kept where the new file may hold it, encoded again elsewhere, and in time."""

import pytest

from tests.support.films import (
    codecs,
    copied,
    duration_s,
    greys,
    loudest_s,
    read_film,
    sound_packets,
    write_film,
)


@pytest.mark.parametrize(
    ("name", "encoder", "suffix", "coded"),
    [
        ("s.mp4", "aac", ".mp4", ["h264", "aac"]),
        ("s.mkv", "libopus", ".mp4", ["h264", "opus"]),
        ("s.webm", "libopus", ".webm", ["vp9", "opus"]),
        ("s.mp4", "libmp3lame", ".mov", ["h264", "mp3"]),
    ],
)
def test_sound_that_the_file_may_hold_stays_as_it_is(tmp_path, name, encoder, suffix, coded):
    codec = "libvpx" if name.endswith("webm") else "libx264"
    source = write_film(tmp_path / name, greys(25), range(0, 1000, 40), codec=codec, sound=encoder)
    target = copied(source, tmp_path / f"o{suffix}")
    assert codecs(target) == coded
    before, after = sound_packets(source), sound_packets(target)
    assert [data for _, data in after] == [data for _, data in before]
    assert [time for time, _ in after] == pytest.approx([time for time, _ in before], abs=0.002)


@pytest.mark.parametrize(
    ("name", "encoder", "suffix", "coded"),
    [
        ("s.mov", "pcm_s16le", ".mp4", ["h264", "aac"]),
        ("s.mp4", "aac", ".webm", ["vp9", "opus"]),
        ("s.mkv", "libopus", ".mov", ["h264", "aac"]),
        ("s.avi", "ac3", ".mp4", ["h264", "aac"]),
    ],
)
def test_other_sound_is_encoded_again_and_heard_at_its_time(tmp_path, name, encoder, suffix, coded):
    codec, from_ms = ("mpeg4", 0) if name.endswith("avi") else ("libx264", 400)  # an AVI has no late sound
    source = write_film(
        tmp_path / name,
        greys(50),
        range(0, 2000, 40),
        codec=codec,
        sound=encoder,
        sound_from_ms=from_ms,
        sound_ms=1500,
    )
    target = copied(source, tmp_path / f"o{suffix}")
    assert codecs(target) == coded
    assert loudest_s(source) == pytest.approx(from_ms / 1000, abs=0.01)
    assert loudest_s(target) == pytest.approx(from_ms / 1000, abs=0.01)
    assert duration_s(target) == pytest.approx(2, abs=0.041)


def test_images_that_begin_after_the_sound_stay_after_it(tmp_path):
    source = write_film(tmp_path / "late.mkv", greys(10), range(700, 1100, 40), sound="libopus")
    target = copied(source, tmp_path / "o.mp4")
    assert read_film(target)[0][0] == pytest.approx(0.7, abs=0.001)
    assert loudest_s(target) == pytest.approx(loudest_s(source), abs=0.005)


def test_a_broadcast_that_starts_at_any_time_starts_at_0(tmp_path):
    source = write_film(
        tmp_path / "hour.ts", greys(10), range(3_600_000, 3_600_400, 40), sound="aac", sound_from_ms=3_600_000
    )
    target = copied(source, tmp_path / "o.mp4")
    assert read_film(source)[0][0] >= 3600
    assert read_film(target)[0][0] < 0.05
    assert duration_s(target) < 1.1
