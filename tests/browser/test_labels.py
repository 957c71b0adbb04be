"""Where labels of faces are placed: the page's module in a real browser, over random crowds."""

import itertools
import random
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

pytestmark = pytest.mark.e2e

Rectangle = Mapping[str, float]
Crowd = tuple[list[dict[str, Any]], Mapping[str, float]]

WORDS, NUMBER, SMALL = {"width": 120, "height": 20}, {"width": 22, "height": 15}, {"width": 14, "height": 10}
SIZES = [(700, 520), (354, 240), (390, 500), (200, 150), (1200, 300)]
NEAR = 1e-3
"""How far a sum of fractions may be off, in pixels."""


def face(key: int, box: tuple[float, float, float, float], forms: list[dict[str, int]]) -> dict[str, Any]:
    return {"key": key, "box": dict(zip(("x", "y", "width", "height"), box, strict=True)), "forms": forms}


def random_crowd(seed: int) -> Crowd:
    """Make faces of many sizes anywhere in a picture, apart or over one another, up to its edges."""
    chance = random.Random(seed)
    width, height = chance.choice(SIZES)
    largest = chance.choice([12, 30, 60, 200])
    faces = []
    for key in range(1, 1 + chance.choice([1, 2, 6, 16, 60, 256])):
        wide = chance.uniform(4, min(largest, width))
        high = min(height, wide * chance.uniform(1, 1.5))
        corner = chance.uniform(0, width - wide), chance.uniform(0, height - high)
        x, y = (
            min(max(0, 1.3 * at - 0.15 * end), end)
            for at, end in zip(corner, (width - wide, height - high), strict=True)
        )
        forms = [WORDS, NUMBER, SMALL] if chance.random() < 0.7 else [NUMBER, SMALL]
        faces.append(face(key, (x, y, wide, high), forms))
    return faces, {"width": width, "height": height}


def grid(columns: int, rows: int, pitch: float, box_px: float) -> Crowd:
    """Make boxes in rows, `pitch` px from one to the next."""
    places = [(column, row) for row in range(rows) for column in range(columns)]
    faces = [
        face(key, (column * pitch, row * pitch, box_px, box_px), [WORDS, NUMBER, SMALL])
        for key, (column, row) in enumerate(places, 1)
    ]
    edge = pitch - box_px
    return faces, {"width": columns * pitch - edge, "height": rows * pitch - edge}


def crowds() -> Iterator[Crowd]:
    yield from (random_crowd(seed) for seed in range(150))
    yield from (grid(8, 7, pitch, 40) for pitch in (40, 50, 52, 56, 60, 80, 200))


def overlap(one: Rectangle, other: Rectangle) -> bool:
    return (
        one["x"] < other["x"] + other["width"] - NEAR
        and other["x"] < one["x"] + one["width"] - NEAR
        and one["y"] < other["y"] + other["height"] - NEAR
        and other["y"] < one["y"] + one["height"] - NEAR
    )


def contains(outer: Rectangle, inner: Rectangle) -> bool:
    return all(
        outer.get(at, 0) - NEAR <= inner[at]
        and inner[at] + inner[size] <= outer.get(at, 0) + outer[size] + NEAR
        for at, size in (("x", "width"), ("y", "height"))
    )


PLACE = """async crowds => {
  const { AFAR, INSIDE, placeLabels } = await import("/page/labels.js");
  return crowds.map(([faces, picture]) => {
    const places = placeLabels(faces, picture);
    return faces.map(({key}) => {
      const place = places.get(key);
      return {...place, isInside: place.slot === INSIDE, isAfar: place.slot === AFAR};
    });
  });
}"""


def place(browse, *given: Crowd) -> list[list[dict[str, float]]]:
    """Place the labels of each crowd."""
    return browse().page.evaluate(PLACE, list(given))


def test_in_random_crowds_no_label_covers_a_face_or_another_label(browse):
    given = list(crowds())
    beside_their_box = 0
    for (faces, picture), places in zip(given, place(browse, *given), strict=True):
        for one, its in zip(faces, places, strict=True):
            size = one["forms"][int(its["form"])]
            assert {"width": its["width"], "height": its["height"]} == size
            assert contains(picture, its)
            if its["isInside"]:
                continue
            beside_their_box += 1
            assert not any(overlap(its, other["box"]) for other in faces)
            reach = 70 if its["isAfar"] else 1
            around = {at: its[at] - reach for at in ("x", "y")}
            around |= {of: its[of] + 2 * reach for of in ("width", "height")}
            assert overlap(around, one["box"]), "a label touches its own box, or is near it"
        outside = [its for its in places if not its["isInside"]]
        assert not any(overlap(one, other) for at, one in enumerate(outside) for other in outside[:at])
    assert beside_their_box > 2000


def test_a_label_in_its_own_box_covers_no_label_elsewhere(browse):
    given = list(crowds())
    inside = 0
    for (faces, _), places in zip(given, place(browse, *given), strict=True):
        for one, its in zip(faces, places, strict=True):
            if not its["isInside"] or not all(one["box"][of] >= its[of] for of in ("width", "height")):
                continue
            inside += 1
            assert contains(one["box"], its)
            assert not any(overlap(its, other) for other in places if not other["isInside"])
    assert inside > 100


def test_a_number_lies_inside_only_where_there_is_no_room_beside_any_box(browse):
    touching, apart = place(browse, grid(6, 6, 40, 40), grid(6, 6, 60, 40))
    assert all(its["isInside"] for its in touching)
    assert {its["form"] for its in touching} == {-1}
    assert not any(its["isInside"] or its["isAfar"] for its in apart)


def test_a_face_too_small_for_its_number_has_it_near_by_where_no_face_is(browse):
    # a row of heads that touch, in a picture with room above and below them
    faces = [face(key, (100 + 8 * key, 100, 8, 8), [NUMBER, SMALL]) for key in range(12)]
    (places,) = place(browse, (faces, {"width": 300, "height": 200}))
    assert not any(its["isInside"] for its in places)
    assert any(its["isAfar"] for its in places)


def test_in_a_crowd_of_small_faces_none_is_covered(browse):
    chance = random.Random(7)
    cells = [(column, row) for row in range(5) for column in range(12)]
    boxes = [
        (40 + 24 * x + chance.uniform(0, 6), 40 + 28 * y + chance.uniform(0, 6), 9, 11) for x, y in cells
    ]
    faces = [face(key, box, [NUMBER, SMALL]) for key, box in enumerate(boxes, 1)]
    (places,) = place(browse, (faces, {"width": 350, "height": 240}))
    assert not any(overlap(its, one["box"]) for its in places for one in faces)
    assert not any(overlap(one, other) for at, one in enumerate(places) for other in places[:at])


def test_a_lone_face_has_its_words_beside_it_wherever_it_is(browse):
    boxes = [(x, y, 80, 100) for x in (0, 260, 320) for y in (0, 10, 100, 200)]
    given = [([face(1, box, [WORDS, NUMBER, SMALL])], {"width": 400, "height": 300}) for box in boxes]
    for (its,) in place(browse, *given):
        assert its["form"] == -3
        assert not its["isInside"]


def test_a_face_that_fills_the_picture_has_its_words_in_a_corner(browse):
    filled = {"width": 640, "height": 480}, (0, 0, 640, 480)
    ((its,),) = place(browse, ([face(1, filled[1], [WORDS, NUMBER, SMALL])], filled[0]))
    assert its["isInside"]
    assert its["form"] == -3
    assert (its["x"], its["y"]) == (0, 0)


def test_every_face_has_a_number_before_any_has_words(browse):
    # between two near faces there is room for a number each, or for the words of one
    boxes = [(0, 20, 60, 60), (70, 20, 60, 60)]
    faces = [face(key, box, [WORDS, NUMBER, SMALL]) for key, box in enumerate(boxes, 1)]
    ((first, second),) = place(browse, (faces, {"width": 130, "height": 80}))
    assert [first["form"], second["form"]] == [-2, -2]


FOLLOW = """async frames => {
  const { placeLabels } = await import("/page/labels.js");
  let places = new Map();
  return frames.map(([faces, picture]) => {
    places = placeLabels(faces, picture, places);
    return faces.map(({key}) => places.get(key));
  });
}"""


def frames_of(seed: int, count: int) -> list[Crowd]:
    """Make frames of a crowd whose boxes tremble by a pixel, as a detector's do."""
    chance = random.Random(seed)
    cells = [(column, row) for row in range(5) for column in range(8)]
    homes = [(60 + 75 * x + chance.uniform(0, 30), 60 + 75 * y + chance.uniform(0, 30)) for x, y in cells]
    return [
        (
            [
                face(
                    key,
                    (x + chance.uniform(-1, 1), y + chance.uniform(-1, 1), 36, 44),
                    [WORDS, NUMBER, SMALL],
                )
                for key, (x, y) in enumerate(homes, 1)
            ],
            {"width": 720, "height": 500},
        )
        for _ in range(count)
    ]


def test_labels_of_trembling_faces_stay_where_they_are(browse):
    page = browse().page
    for seed in range(5):
        frames = page.evaluate(FOLLOW, frames_of(seed, 40))
        moved = 0
        for before, after in itertools.pairwise(frames):
            for last, its in zip(before, after, strict=True):
                assert its["form"] <= last["form"], "a label grows where room was made, and shrinks never"
                moved += its["form"] == last["form"] and its["slot"] != last["slot"]
        assert moved == 0


def test_a_place_that_another_face_takes_is_left(browse):
    picture = {"width": 400, "height": 300}
    calm = face(1, (100, 100, 60, 60), [WORDS, NUMBER, SMALL])
    comes = face(2, (110, 30, 60, 60), [WORDS, NUMBER, SMALL])
    (first,), (second, _), (third, _) = browse().page.evaluate(
        FOLLOW,
        [
            ([calm], picture),
            ([calm, comes], picture),
            ([calm, comes | {"box": calm["box"] | {"x": 300}}], picture),
        ],
    )
    assert first["slot"] != second["slot"]
    assert not overlap(second, comes["box"])
    assert third["slot"] == second["slot"], "the place that it has is as good as the one that it had"


TIME = """async frames => {
  const { placeLabels } = await import("/page/labels.js");
  let places = new Map();
  return frames.map(([faces, picture]) => {
    const start = performance.now();
    const fresh = placeLabels(faces, picture);
    const between = performance.now();
    places = placeLabels(faces, picture, places);
    return [between - start, performance.now() - between];
  }).slice(5);
}"""


def test_sixty_labels_are_placed_within_a_small_part_of_a_frame(browse):
    times = browse().page.evaluate(TIME, [grid(10, 6, 60, 40)] * 60)
    fresh_ms, followed_ms = (sorted(column)[len(times) // 2] for column in zip(*times, strict=True))
    print(f"60 labels: {fresh_ms:.2f} ms in a new picture, {followed_ms:.2f} ms in the next frame")
    assert fresh_ms < 10
    assert followed_ms < 10
