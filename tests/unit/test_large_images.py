"""Large images are decoded at a reduced scale, and boxes come back in pixels of the whole."""

from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fercore.contracts.errors import InvalidImage
from fercore.contracts.messages import DetectOptions
from fercore.service.metrics import Metrics
from fercore.vision.crop import Framing, Square, crop_face
from fercore.vision.decode import decode, decode_reduced
from fercore.vision.detection import Detections, detect_in
from fercore.vision.image import DecodedImage
from services.detector import detectors
from services.detector.core import DetectorCore
from tests.support.fakes import FixedDetector, plugin_package
from tests.support.images import STORED_AS, astronaut, encoded
from tests.support.options import default_options

REPOSITORY = Path(__file__).parents[2] / "model_repository"


def stored(upright: Image.Image, orientation: int, **options: Any) -> bytes:
    how = STORED_AS[orientation]
    tags = Image.Exif()
    tags[0x0112] = orientation
    return encoded(upright if how is None else upright.transpose(how), exif=tags.tobytes(), **options)


@cache
def large(width: int = 2403, height: int = 1801) -> Image.Image:
    """The portrait, in the upper left of a much larger image."""
    canvas = Image.new("RGB", (width, height), (128, 128, 128))
    canvas.paste(astronaut().resize((height, height), Image.Resampling.BICUBIC))
    return canvas


@pytest.mark.parametrize("orientation", STORED_AS)
def test_a_reduced_image_is_upright_and_tells_its_full_size(orientation):
    upright = astronaut().crop((0, 0, 403, 301))
    image = decode_reduced(stored(upright, orientation, quality=95), longer_side_px=100)
    assert (image.width, image.height) == upright.size
    assert image.pixels.shape == (76, 101, 3)
    whole = cv2.resize(np.asarray(upright), (101, 76), interpolation=cv2.INTER_AREA)
    assert np.abs(image.pixels.astype(float) - whole).mean() < 12


@pytest.mark.parametrize(("wanted", "longer_side"), [(50, 64), (64, 64), (65, 128), (257, 512), (600, 512)])
def test_an_image_is_reduced_as_far_as_the_wanted_size_allows(wanted, longer_side):
    image = decode_reduced(encoded(astronaut()), longer_side_px=wanted)
    assert max(image.pixels.shape) == longer_side
    assert (image.scale > 1) == (longer_side < 512)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_what_gains_nothing_by_a_scale_is_decoded_in_full(kind):
    image = decode_reduced(encoded(astronaut(), kind), longer_side_px=64)
    np.testing.assert_array_equal(image.pixels, decode(encoded(astronaut(), kind)))


def test_the_sides_of_an_almost_square_turned_image_are_not_mistaken():
    image = decode_reduced(stored(astronaut().resize((259, 260)), 6), longer_side_px=64)
    assert (image.width, image.height) == (259, 260)


def test_grey_progressive_and_cmyk_images_are_reduced_too():
    for data in (
        encoded(astronaut().convert("L")),
        encoded(astronaut(), progressive=True),
        encoded(astronaut().convert("CMYK")),
    ):
        assert decode_reduced(data, longer_side_px=64).pixels.shape == (64, 64, 3)


def test_what_is_cut_short_is_refused_at_a_reduced_scale_too():
    data = encoded(astronaut(), progressive=True)
    with pytest.raises(InvalidImage, match="truncated"):
        decode_reduced(data[: len(data) // 2], longer_side_px=64)


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(1, 3000),
    height=st.integers(1, 3000),
    scale=st.sampled_from([1, 2, 4, 8]),
    size_px=st.integers(64, 800),
    is_turned=st.booleans(),
)
def test_boxes_and_landmarks_come_back_in_pixels_of_the_whole_and_reach_its_edges(
    width, height, scale, size_px, is_turned
):
    columns, rows = -(-width // scale), -(-height // scale)
    pixels = np.zeros((rows, columns, 3), np.uint8)
    left, top = (width - scale * columns, height - scale * rows) if is_turned else (0, 0)
    shown: list[tuple[int, ...]] = []

    def find_all_of_it(image: np.ndarray) -> Detections:
        shown.append(image.shape)
        h, w = image.shape[:2]
        points = np.array([[[0, 0], [w, 0], [w / 2, h / 2], [0, h], [w, h]]], np.float32)
        return Detections(np.array([[0, 0, w, h]], np.float32), np.ones(1, np.float32), points)

    found = detect_in(
        FixedDetector(find_all_of_it),
        DecodedImage(pixels, width, height, scale=scale, left=left, top=top),
        min_face_px=1,
        longer_side_px=size_px,
    )
    assert max(shown[0][:2]) <= size_px
    assert found.boxes.dtype == found.landmarks.dtype == np.float32
    right, bottom = left + scale * columns, top + scale * rows
    assert left <= 0 <= width <= right < width + scale
    assert top <= 0 <= height <= bottom < height + scale
    np.testing.assert_allclose(found.boxes[0], (left, top, right, bottom), rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(found.landmarks[0, 4], (right, bottom), rtol=1e-5)
    middle = (left + right) / 2, (top + bottom) / 2
    np.testing.assert_allclose(found.landmarks[0, 2], middle, rtol=1e-5)


def test_the_smallest_face_is_told_to_the_detector_in_its_own_pixels():
    asked = []

    class Asked:
        framing = Framing(1, 0, 0)

        def detect(self, image: np.ndarray, *, min_face_px: int) -> Detections:
            asked.append(min_face_px)
            return Detections.none()

    image = DecodedImage(np.zeros((600, 800, 3), np.uint8), 3200, 2400, scale=4)
    detect_in(Asked(), image, min_face_px=41, longer_side_px=400)
    detect_in(Asked(), image, min_face_px=1, longer_side_px=400)
    assert asked == [5, 1]


def test_a_square_of_the_whole_lies_where_it_should_in_a_reduced_image():
    image = DecodedImage(np.zeros((51, 101, 3), np.uint8), 201, 101, scale=2, left=-1)
    whole = image.in_pixels(Square(201 / 2 - 20, 101 / 2 - 20, 40))
    assert whole.centre == pytest.approx((50.75, 25.25))
    assert whole.side == 20


@pytest.fixture
def core_that_finds(tmp_path, monkeypatch, request):
    monkeypatch.syspath_prepend(tmp_path)
    source = "def create(model_repository):\n    return model_repository\n"
    package = plugin_package(tmp_path, f"plugins_{abs(hash(request.node.name))}", fixed=source)

    def make(share: tuple[float, float, float, float]) -> tuple[DetectorCore, Metrics]:
        def find(image: np.ndarray) -> Detections:
            height, width = image.shape[:2]
            box = np.array([share], np.float32) * np.array([width, height] * 2, np.float32)
            return Detections(box, np.ones(1, np.float32))

        metrics = Metrics()
        found: Any = FixedDetector(find)  # the plug-in gives back what it is handed
        core = DetectorCore(package, model_repository=found, threads=1, metrics=metrics, detect_size_px=300)
        return core, metrics

    return make


def options() -> DetectOptions:
    return DetectOptions(detector="fixed", max_faces=10, min_face_px=1, min_score=0.0)


def decodings(metrics: Metrics) -> float | None:
    return metrics.registry.get_sample_value("fer_stage_duration_seconds_count", {"stage": "decode"})


def test_a_small_face_of_a_large_image_is_cropped_from_all_its_pixels(core_that_finds):
    data = encoded(large(), quality=90)
    core, metrics = core_that_finds((0.25, 0.25, 0.35, 0.35))
    found = core.analyze(data, options())
    assert decodings(metrics) == 2
    x, y, width, height = found.faces[0].box
    assert (width, height) == pytest.approx((240.8, 180.8), abs=0.1)  # of 8 x 301 and 8 x 226 pixels
    square = Square(x + width / 2 - width / 2, y + height / 2 - width / 2, width)
    assert np.abs(found.crops[0].astype(float) - crop_face(decode(data), square)).mean() < 1


@pytest.mark.parametrize("share", [(0.1, 0.1, 0.6, 0.8), (0.5, 0.5, 0.505, 0.505)])
def test_faces_that_gain_nothing_cost_no_second_decoding(core_that_finds, share):
    core, metrics = core_that_finds(share)
    found = core.analyze(encoded(large(), quality=90), options())
    assert len(found.faces) == 1
    assert decodings(metrics) == 1


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_face_of_an_enlarged_and_turned_portrait_is_found_where_it_is(tmp_path, orientation):
    core = DetectorCore(detectors, model_repository=tmp_path, threads=1, metrics=Metrics())
    small = core.analyze(encoded(astronaut(), quality=92), default_options("haar"))
    data = stored(large(), orientation, quality=92)
    found = core.analyze(data, default_options("haar"))
    assert (found.width, found.height) == large().size
    (face,) = found.faces
    expected = np.array(small.faces[0].box) * 1801 / 512
    assert np.abs(np.array(face.box) - expected).max() < 0.12 * expected[2]
    assert np.abs(found.crops[0].astype(float) - small.crops[0]).mean() < 30
    core.close()


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("detector", ["ferface", "haar"])
@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (8192, 6100)])
def test_odd_and_huge_images_are_answered(size, detector, kind):
    core = DetectorCore(detectors, model_repository=REPOSITORY, threads=1, metrics=Metrics())
    found = core.analyze(encoded(Image.new("RGB", size, (90, 90, 90)), kind), default_options(detector))
    assert (found.width, found.height, found.faces) == (*size, ())
    core.close()
