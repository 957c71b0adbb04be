"""What a plug-in's weights must be, and what is said when they are not."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fercore.inference.session import fits, load_graph

REPOSITORY = Path(__file__).parent.parent / "model_repository"
TINY = "emotion_tiny/1/model.onnx"
TAKES = (None, 112, 112, 3)
GIVES = [(None, None, 4, 4), (None, 8)]
HINT = "`make models` fetches it"


def load(**changes: Any):
    wanted: dict[str, Any] = {"file": TINY, "takes": TAKES, "gives": GIVES, "hint": HINT, "dtype": np.uint8}
    return load_graph(REPOSITORY, **wanted | changes)


def test_a_graph_is_run_in_the_callers_thread_and_gives_what_was_asked_for_in_that_order():
    graph = load()
    before = threading.active_count()
    features, logits = graph.run(np.zeros((2, 112, 112, 3), np.uint8))
    assert graph.input_shape == TAKES
    assert features.shape == (2, 3, 4, 4)
    assert logits.shape == (2, 8)
    assert threading.active_count() == before


def test_a_missing_file_is_named_within_the_repository_with_what_to_do():
    with pytest.raises(FileNotFoundError) as fault:
        load(file="detector_none/model.onnx")
    assert str(fault.value) == f"detector_none/model.onnx is missing: {HINT}"


def test_a_file_that_is_no_graph_is_said_so(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"<html>")
    with pytest.raises(ValueError, match=r"^model.onnx is no ONNX graph that can be run: `make models`"):
        load_graph(tmp_path, "model.onnx", takes=TAKES, gives=GIVES, hint=HINT)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gives": GIVES[:1]}, r"gives logits .*\[\?, 8\], features .*, not \[\?, \?, 4, 4\]: `make"),
        ({"gives": [*GIVES, (None, 8)]}, r"gives .*, not .*: `make models` fetches it"),
        ({"gives": [(None, 3, 4, 4), (None, 7)]}, r"gives .*, not .*\[\?, 7\]"),
        ({"takes": (None, 3, None, None)}, r"takes face tensor\(uint8\) .*, not one uint8 \[\?, 3, \?, \?\]"),
        ({"dtype": np.float32}, r"takes face tensor\(uint8\) .*, not one float32"),
    ],
)
def test_another_graph_is_refused_with_what_it_has(changes, message):
    with pytest.raises(ValueError, match=message):
        load(**changes)


def test_shapes_fit_where_neither_says_otherwise():
    assert fits([1, 2], (1, 2))
    assert fits(["n", 2], (None, 2))
    assert fits([None, 2], (5, "k"))
    assert not fits([1, 2], (1, 3))
    assert not fits([1, 2], (1, 2, 3))
