"""Every kind of image comes out upright, RGB, 8 bit; what is no whole image is refused."""

import io

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fercore.contracts.errors import FerError, InvalidImage, PayloadTooLarge, UnsupportedMedia
from fercore.vision.decode import decode
from fercore.vision.header import check_image, read_header
from tests.support.images import STORED_AS

FORMATS = ["JPEG", "PNG", "WEBP"]
ORIENTATIONS = range(1, 9)


def picture(width: int = 40, height: int = 24) -> Image.Image:
    """Red left half, blue right half, green bottom: every orientation looks different."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2] = (250, 10, 10)
    pixels[:, width // 2 :] = (10, 10, 250)
    pixels[height * 3 // 4 :] = (10, 250, 10)
    return Image.fromarray(pixels)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    if kind == "WEBP":
        options.setdefault("lossless", True)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


def assert_alike(image: np.ndarray, expected: Image.Image, tolerance: float = 12.0) -> None:
    wanted = np.asarray(expected.convert("RGB"), np.float32)
    assert image.shape == wanted.shape
    assert image.dtype == np.uint8
    assert np.abs(image.astype(np.float32) - wanted).mean() < tolerance


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_exif_orientation_is_applied(kind, orientation):
    inverse = STORED_AS[orientation]
    upright = picture()
    stored = upright if inverse is None else upright.transpose(inverse)
    assert_alike(decode(encoded(stored, kind, exif=exif(orientation))), upright)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_orientation_is_applied_to_images_with_alpha_too(kind, orientation):
    plain = decode(encoded(picture(), kind, exif=exif(orientation)))
    rgba = picture().convert("RGBA")
    rgba.putpixel((0, 0), (250, 10, 10, 254))  # an encoder may drop an alpha that is full everywhere
    assert_alike(decode(encoded(rgba, kind, exif=exif(orientation))), Image.fromarray(plain), 2)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_alpha_is_composited_on_white(kind):
    image = picture().convert("RGBA")
    image.putalpha(Image.fromarray(np.repeat(np.array([[0] * 20 + [128] * 20], np.uint8), 24, axis=0)))
    out = decode(encoded(image, kind))
    assert tuple(out[2, 5]) == (255, 255, 255)
    assert abs(int(out[2, 30][2]) - 252) < 4
    assert abs(int(out[2, 30][0]) - 132) < 4


def test_grey_with_alpha_and_palette_with_transparency_are_composited_on_white():
    grey = picture().convert("LA")
    grey.putalpha(0)
    assert decode(encoded(grey, "PNG")).min() == 255
    palette = picture().convert("P", palette=Image.Palette.ADAPTIVE, colors=8)
    transparent = palette.getpixel((0, 0))
    out = decode(encoded(palette, "PNG", transparency=transparent))
    assert tuple(out[0, 0]) == (255, 255, 255)
    assert out[0, 39, 2] > 200


def test_grey_sixteen_bit_and_cmyk_become_rgb():
    assert_alike(decode(encoded(picture().convert("L"), "JPEG")), picture().convert("L"))
    deep = Image.fromarray(np.asarray(picture().convert("L"), np.uint16) * 257)
    assert_alike(decode(encoded(deep, "PNG")), picture().convert("L"))
    assert_alike(decode(encoded(picture().convert("CMYK"), "JPEG")), picture(), 20)


@pytest.mark.parametrize("kind", FORMATS)
def test_header_gives_the_stored_size(kind):
    header = read_header(encoded(picture(37, 21), kind))
    assert (header.format, header.width, header.height) == (kind.lower(), 37, 21)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.95])
def test_truncated_images_are_refused(kind, share):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    data = encoded(noise, kind)
    with pytest.raises((InvalidImage, UnsupportedMedia)):
        decode(data[: int(len(data) * share)])


@pytest.mark.parametrize(
    "data", [b"hello", b"GIF89a" + bytes(50), b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\xff\xd8"]
)
def test_other_formats_are_unsupported(data):
    with pytest.raises(UnsupportedMedia):
        read_header(data)


def test_an_empty_image_is_invalid():
    with pytest.raises(InvalidImage, match="empty"):
        read_header(b"")


def test_a_bomb_is_refused_by_its_header():
    bomb = bytearray(encoded(picture(), "PNG"))
    bomb[16:24] = (30_000).to_bytes(4, "big") * 2
    with pytest.raises(InvalidImage, match="30000 x 30000"):
        check_image(bytes(bomb), max_image_bytes=10_000, max_pixels=50_000_000)


def test_too_many_bytes_and_no_pixels_are_refused():
    data = bytearray(encoded(picture(), "PNG"))
    with pytest.raises(PayloadTooLarge):
        check_image(bytes(data), max_image_bytes=len(data) - 1, max_pixels=10_000)
    data[16:20] = bytes(4)
    with pytest.raises(InvalidImage, match="no pixels"):
        check_image(bytes(data), max_image_bytes=10_000, max_pixels=10_000)


@settings(max_examples=300, deadline=None)
@given(
    kind=st.sampled_from(FORMATS),
    edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=12),
    keep=st.floats(0.1, 1),
)
def test_damaged_images_never_raise_anything_but_a_fault(kind, edits, keep):
    data = bytearray(encoded(picture(), kind))
    for place, value in edits:
        data[int(place * len(data))] = value
    data = data[: int(len(data) * keep)]
    try:
        check_image(bytes(data), max_image_bytes=100_000, max_pixels=100_000)
        decode(bytes(data))
    except FerError:
        pass


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xff\xd8" + b"\xff\xe0\0\2" * 2000 + b"\xff\xd9", "too many segments"),
        (encoded(picture(), "PNG")[:-12] + b"\0\0\0\0aaaa\0\0\0\0" * 20_000, "too many chunks"),
    ],
)
def test_floods_of_tiny_parts_are_not_walked_to_their_end(data, reason):
    with pytest.raises(InvalidImage, match=reason):
        read_header(data)


def test_sixteen_bit_alpha_is_composited_exactly():
    stored = np.random.default_rng(0).integers(0, 65536, (37, 41, 4), dtype=np.uint16)
    data = cv2.imencode(".png", stored)[1].tobytes()
    colour, alpha = stored[..., 2::-1].astype(np.float64), stored[..., 3:].astype(np.float64)
    exact = (colour * alpha + 65535 * (65535 - alpha)) / 65535**2 * 255
    assert np.abs(decode(data) - exact).max() <= 0.5 + 1e-6
