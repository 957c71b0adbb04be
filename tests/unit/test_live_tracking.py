"""Faces keep their ids as far as boxes can tell."""

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fercore.contracts.api import Box
from services.gateway.live.tracking import MAX_TRACKS, MEMORY_S, FaceTracker

FRAME_S = 1 / 25


def box(x: float, y: float = 100, size: float = 80) -> Box:
    return Box(x=x, y=y, width=size, height=size)


def test_a_still_face_keeps_its_id_through_the_detectors_jitter():
    tracker, noise = FaceTracker(), random.Random(1)
    for frame in range(250):
        jittered = box(100 + noise.gauss(0, 4), 100 + noise.gauss(0, 4), 80 * noise.uniform(0.9, 1.1))
        assert tracker.follow([jittered], frame * FRAME_S) == [1]


@pytest.mark.parametrize("frames_a_second", [5, 10, 25])
def test_a_face_that_walks_through_the_image_keeps_its_id(frames_a_second):
    tracker = FaceTracker()
    for frame in range(3 * frames_a_second):
        at_s = frame / frames_a_second
        assert tracker.follow([box(200 * at_s)], at_s) == [1]  # 2.5 times its width a second


@pytest.mark.parametrize("hidden_px", [0, 60])
def test_faces_that_cross_keep_their_ids(hidden_px):
    """While they overlap, the detector may see only the one in front."""
    tracker = FaceTracker()
    tracker.follow([box(0), box(402)], 0)
    for frame in range(1, 101):
        left, right = frame * 4.0, 402 - frame * 4.0  # at no time the same
        if abs(left - right) < hidden_px:
            assert tracker.follow([box(right)], frame * FRAME_S) == [2]
        else:
            boxes = [box(left), box(right)] if frame % 2 else [box(right), box(left)]
            assert tracker.follow(boxes, frame * FRAME_S) == ([1, 2] if frame % 2 else [2, 1])


@pytest.mark.parametrize(("missed_s", "face_id"), [(0.2, 1), (0.9, 1), (MEMORY_S + 0.1, 2)])
def test_a_face_that_is_missed_is_the_same_for_a_second_and_new_after_it(missed_s, face_id):
    tracker = FaceTracker()
    for frame in range(25):
        tracker.follow([box(100)], frame * FRAME_S)
    seen_at_s = 24 * FRAME_S
    assert tracker.follow([], seen_at_s + 0.1) == []
    assert tracker.follow([box(104)], seen_at_s + missed_s) == [face_id]


def test_a_walking_face_that_is_missed_is_found_where_it_must_have_gone():
    tracker = FaceTracker()
    for frame in range(25):
        tracker.follow([box(frame * 8.0)], frame * FRAME_S)
    for frame in range(25, 40):
        tracker.follow([], frame * FRAME_S)
    assert tracker.follow([box(40 * 8.0)], 40 * FRAME_S) == [1]


def test_a_face_that_leaves_at_the_edge_and_turns_back_is_the_same():
    tracker = FaceTracker()
    for frame in range(20):
        tracker.follow([box(100 - frame * 5.0)], frame * FRAME_S)
    assert tracker.follow([], 30 * FRAME_S) == []
    assert tracker.follow([box(8)], 40 * FRAME_S) == [1]


def test_a_camera_cut_makes_new_faces():
    tracker = FaceTracker()
    for frame in range(10):
        assert tracker.follow([box(100), box(400)], frame * FRAME_S) == [1, 2]
    assert tracker.follow([box(250), box(500, 300), box(80, 80, 300)], 10 * FRAME_S) == [3, 4, 5]


def test_ids_are_never_used_twice():
    tracker = FaceTracker()
    ids = [tracker.follow([box(100)], 2.0 * number)[0] for number in range(5)]
    assert ids == [1, 2, 3, 4, 5]
    assert tracker.face_ids == {5}


@given(st.lists(st.lists(st.tuples(st.floats(0, 600), st.floats(0, 400), st.floats(0, 300)), max_size=6)))
def test_every_box_gets_one_id_and_no_two_the_same(frames):
    tracker = FaceTracker()
    for number, boxes in enumerate(frames):
        ids = tracker.follow([box(*place) for place in boxes], number * FRAME_S)
        assert len(ids) == len(set(ids)) == len(boxes)
        assert set(ids) <= tracker.face_ids


def test_crowds_that_change_with_every_frame_stay_bounded_and_quick():
    tracker, places = FaceTracker(), random.Random(1)
    slowest_s = 0.0
    for frame in range(10):
        crowd = [box(places.uniform(0, 4000), places.uniform(0, 3000), 40) for _ in range(256)]
        start = time.process_time()
        tracker.follow(crowd, frame * FRAME_S)
        slowest_s = max(slowest_s, time.process_time() - start)
        assert len(tracker.face_ids) <= MAX_TRACKS
    assert slowest_s < 1
