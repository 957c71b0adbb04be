"""Average precision of a face detector over scenes (Everingham et al., IJCV 2010; all points, IoU 0.5)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from fercore.vision.boxes import iou
from fercore.vision.detection import Detections
from training.detection.wider import Scene
from training.measuring.report.figures import STYLE, as_png

SAME_FACE_IOU = 0.5

Curve = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PrecisionRecall:
    """The curve over all scores, most certain first.

    Attributes:
        precision: float64 [k].
        recall: float64 [k].
        scores: float64 [k], the bound at each point.
        faces: how many there are to find.
    """

    precision: Curve
    recall: Curve
    scores: Curve
    faces: int

    @property
    def average_precision(self) -> float:
        """Area under the curve, precision made to fall only."""
        falling = np.maximum.accumulate(self.precision[::-1])[::-1]
        return float((falling * np.diff(self.recall, prepend=0.0)).sum())

    def at(self, score: float) -> tuple[float, float]:
        """Return precision and recall of what is found at or above a score."""
        last = int((self.scores >= score).sum()) - 1
        return (1.0, 0.0) if last < 0 else (float(self.precision[last]), float(self.recall[last]))


def measure(scenes: Sequence[Scene], found: Sequence[Detections], *, min_face_px: float) -> PrecisionRecall:
    """Compare detections with the annotated faces whose longer side is at least `min_face_px`.

    A detection on a smaller or invalid face counts neither way, nor does a false one that is itself smaller.
    A second detection of one face is false.

    Args:
        scenes: with their faces.
        found: in pixels of each scene's image.
        min_face_px: in the same pixels.
    """
    scores, hits, faces = [], [], 0
    for scene, detections in zip(scenes, found, strict=True):
        longer = (scene.boxes[:, 2:] - scene.boxes[:, :2]).max(axis=1, initial=0)
        is_wanted = scene.is_valid & (longer >= min_face_px)
        faces += int(is_wanted.sum())
        for score, is_hit in _match(scene, detections, is_wanted, min_face_px):
            scores.append(score)
            hits.append(is_hit)
    order = np.argsort(-np.array(scores, np.float64), kind="stable")
    right = np.cumsum(np.array(hits, np.float64)[order])
    counted = np.arange(1, len(right) + 1)
    return PrecisionRecall(right / counted, right / max(1, faces), np.array(scores, np.float64)[order], faces)


def _match(
    scene: Scene, found: Detections, is_wanted: npt.NDArray[np.bool_], min_face_px: float
) -> list[tuple[float, bool]]:
    outcomes: list[tuple[float, bool]] = []
    is_free = is_wanted.copy()
    for index in np.argsort(-found.scores, kind="stable"):
        box, score = found.boxes[index], float(found.scores[index])
        overlap = iou(box, scene.boxes)
        wanted = np.where(is_free, overlap, 0.0)
        if wanted.max(initial=0) >= SAME_FACE_IOU:
            is_free[wanted.argmax()] = False
            outcomes.append((score, True))
            continue
        is_small = (box[2:] - box[:2]).max() < min_face_px
        if not is_small and overlap[~is_wanted].max(initial=0) < SAME_FACE_IOU:
            outcomes.append((score, False))
    return outcomes


def draw_curves(curves: Mapping[int, PrecisionRecall], title: str) -> bytes:
    """Return one PNG with a curve for each smallest face in pixels."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6, 5), layout="constrained")
        axes = figure.subplots()
        for limit, curve in curves.items():
            label = f"faces of {limit} px and more: AP {curve.average_precision:.3f} ({curve.faces})"
            axes.plot(curve.recall, curve.precision, label=label)
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision", title=title)
        axes.legend(loc="lower left")
        return as_png(figure)
