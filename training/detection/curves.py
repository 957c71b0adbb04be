"""Draw precision against recall.

Knows no file and no detector.
"""

from collections.abc import Mapping

import matplotlib as mpl
from matplotlib.figure import Figure

from training.detection.precision import PrecisionRecall
from training.measuring.report.figures import STYLE, as_png


def draw_curves(curves: Mapping[int, PrecisionRecall], title: str) -> bytes:
    """Give one PNG with a curve for each smallest face in pixels."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6, 5), layout="constrained")
        axes = figure.subplots()
        for limit, curve in curves.items():
            label = f"faces of {limit} px and more: AP {curve.average_precision:.3f} ({curve.faces})"
            axes.plot(curve.recall, curve.precision, label=label)
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision", title=title)
        axes.legend(loc="lower left")
        return as_png(figure)
