"""JPEGs of every kind are mapped alike at every scale, and what lacks only its end marker is read."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fercore.contracts.errors import InvalidImage
from fercore.vision.decode import decode, decode_reduced
from fercore.vision.header import check_image, read_header
from tests.support.images import STORED_AS, astronaut, encoded
from tests.support.jpegs import KINDS, without_end, without_huffman_tables
from tests.support.white_box import assert_boxes_agree


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(
    orientation=st.sampled_from(list(STORED_AS)),
    width=st.integers(240, 700),
    height=st.integers(240, 700),
    longer_side_px=st.integers(80, 350),
)
def test_boxes_are_the_same_at_a_reduced_scale_and_in_full(kind, orientation, width, height, longer_side_px):
    assert_boxes_agree(KINDS[kind], (width, height), orientation, longer_side_px)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_keeps_its_colours(kind):
    image = decode(KINDS[kind](astronaut().resize((160, 120))))
    expected = np.asarray(astronaut().resize((160, 120)), np.float64)
    if kind.startswith("grey"):
        expected = expected.mean(axis=2, keepdims=True)
    assert np.abs(image - expected).mean() < 12


def test_a_frame_of_a_camera_without_huffman_tables_is_read():
    data = encoded(astronaut(), quality=90)
    np.testing.assert_array_equal(decode(without_huffman_tables(data)), decode(data))


@pytest.mark.parametrize("lacks", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_a_jpeg_that_lacks_only_its_end_marker_is_the_same_image(kind, lacks):
    whole = KINDS[kind](astronaut().resize((200, 152)))
    data = whole[: len(whole) - lacks]
    assert not check_image(data, max_image_bytes=len(data), max_pixels=200 * 152).has_end
    np.testing.assert_array_equal(decode(data), decode(whole))
    reduced = decode_reduced(data, longer_side_px=50)
    np.testing.assert_array_equal(reduced.pixels, decode_reduced(whole, longer_side_px=50).pixels)


@pytest.mark.parametrize("behind", [b"\r\n", b"\r\n--frame\r\n", bytes(100)], ids=["line", "part", "zeros"])
def test_what_stands_behind_an_image_without_end_marker_does_not_matter(behind):
    whole = encoded(astronaut(), quality=90)
    np.testing.assert_array_equal(decode(without_end(whole) + behind), decode(whole))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, deadline=None)
@given(cut=st.one_of(st.integers(3, 60), st.integers(3, 9000)))
def test_a_jpeg_that_is_cut_within_its_scans_is_refused(kind, cut):
    whole = KINDS[kind](astronaut().resize((200, 152)))
    kept = max(2, len(whole) - cut)
    try:
        image = decode(whole[:kept])
    except InvalidImage:
        return
    # nothing is missing from what is shown: at most bits that fill the last byte
    np.testing.assert_array_equal(image, decode(whole))
    assert cut <= 4


def test_a_cut_before_each_restart_marker_is_seen():
    data = KINDS["restart markers"](astronaut().resize((64, 64)))
    places = [place for n in range(8) for place in _places(data, bytes([0xFF, 0xD0 + n]))]
    assert len(places) == 15  # 16 blocks of 16 x 16 pixels
    for place in places:
        for kept in (place, place + 1, place + 2):
            with pytest.raises(InvalidImage, match="truncated"):
                decode(data[:kept])


def test_a_progressive_jpeg_that_lacks_a_whole_scan_is_refused_by_its_structure():
    data = KINDS["progressive"](astronaut().resize((64, 64)))
    scans = _places(data, b"\xff\xda")
    assert len(scans) == 10
    for scan in scans:
        for kept in range(scan, scan + 8):
            with pytest.raises(InvalidImage, match=r"truncated|header"):
                read_header(data[:kept])


@pytest.mark.parametrize("breaks", [b"\r\n", b"\n", b"\r\n\r\n"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_line_breaks_before_an_image_are_passed_over(kind, breaks):
    data = encoded(astronaut(), kind)
    assert read_header(breaks + data) == read_header(data)
    np.testing.assert_array_equal(decode(breaks + data), decode(data))


def test_an_image_that_decodes_to_another_size_than_it_states_is_refused(monkeypatch):
    monkeypatch.setattr("fercore.vision.decode.cv2.imdecode", lambda *_: np.zeros((7, 9, 3), np.uint8))
    with pytest.raises(InvalidImage, match="another size"):
        decode_reduced(encoded(astronaut()), longer_side_px=64)


def _places(data: bytes, marker: bytes) -> list[int]:
    return [place for place in range(len(data)) if data.startswith(marker, place)]
