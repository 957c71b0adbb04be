"""Images of any shape in the input of a graph."""

import numpy as np
import pytest

from fercore.vision.letterbox import LARGEST_SIDE_PX, letterbox


def white(width: int, height: int) -> np.ndarray:
    return np.full((height, width, 3), 255, np.uint8)


@pytest.mark.parametrize(
    ("image", "input_size"),
    [((640, 480), (640, 480)), ((641, 1), (672, 32)), ((1, 1), (32, 32)), ((199, 148), (224, 160))],
)
def test_an_open_side_is_rounded_up_and_the_image_left_as_it_is(image, input_size):
    pixels, ratios = letterbox(white(*image), (None, None))
    assert pixels.shape[1::-1] == input_size
    np.testing.assert_array_equal(ratios, [1, 1])
    assert pixels[: image[1], : image[0]].min() == 255
    assert pixels.sum() == image[0] * image[1] * 3 * 255


@pytest.mark.parametrize("image", [(1280, 480), (480, 1280), (1, 5000), (5000, 1), (100, 100), (641, 641)])
def test_an_image_is_scaled_down_until_it_fits_and_the_ratios_lead_back(image):
    pixels, ratios = letterbox(white(*image), (320, 640))
    assert pixels.shape == (320, 640, 3)
    used = np.array([pixels[0, :, 0].astype(bool).sum(), pixels[:, 0, 0].astype(bool).sum()])
    assert (used >= 1).all()
    np.testing.assert_allclose(used * ratios, image, rtol=1e-6)
    assert (ratios >= 1).all()


def test_an_open_side_has_a_limit():
    pixels, ratios = letterbox(white(20, 5120), (None, None))
    assert pixels.shape == (LARGEST_SIDE_PX, 32, 3)
    np.testing.assert_allclose(ratios, [2, 2])
