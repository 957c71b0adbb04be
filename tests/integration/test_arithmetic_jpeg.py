"""Arithmetic-coded JPEGs, which only a program of the machine's can make here."""

import numpy as np
import pytest

from fercore.contracts.errors import InvalidImage
from fercore.vision.decode import decode
from fercore.vision.header import read_header
from tests.support.images import STORED_AS, astronaut
from tests.support.jpegs import arithmetic, without_end
from tests.support.white_box import assert_boxes_agree


@pytest.mark.parametrize("orientation", STORED_AS)
@pytest.mark.parametrize(("size", "longer_side_px"), [((641, 300), 80), ((243, 699), 170), ((400, 400), 100)])
def test_boxes_are_the_same_at_a_reduced_scale_and_in_full(size, longer_side_px, orientation):
    assert_boxes_agree(arithmetic, size, orientation, longer_side_px)


def test_it_keeps_its_colours():
    image = decode(arithmetic(astronaut().resize((160, 120))))
    assert np.abs(image - np.asarray(astronaut().resize((160, 120)), np.float64)).mean() < 12


def test_nothing_shows_its_end_so_that_one_without_end_marker_stays_refused():
    with pytest.raises(InvalidImage, match="truncated"):
        read_header(without_end(arithmetic(astronaut())))
