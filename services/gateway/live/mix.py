"""Estimate the mix of expressions of one live stream from its own answers: `"prior": "auto"`.

Knows probabilities only. The classifier corrects for what is assumed here, so that each answer is the E-step
of an expectation maximisation (Saerens, Latinne and Decaestecker, 2002, section 2.2); the M-step is a mean
that forgets (online EM: Cappé and Moulines, 2009).
"""

import math
from collections.abc import Mapping, Sequence

from fercore.contracts.api import Face
from fercore.contracts.emotions import Emotion

MEMORY_S = 180.0
"""Time over which the mean forgets: slow, for one face shows one expression over many frames."""

ANCHOR = 0.2
"""Share of the training mix in what is assumed.

No emotion falls below so much of its training share, so that it can come back and an error of the model
cannot confirm itself without end.
"""

MAX_STEP_S = 1.0
"""A frame counts for the time since the frame before, and no longer: a pause tells nothing."""


class SessionMix:
    """The mix of one stream; holds one number an emotion, however long it lasts."""

    def __init__(self) -> None:
        self._training: Mapping[str, float] = {}
        self._mean: dict[str, float] = {}
        self._last_s: float | None = None

    def assume(self, training_shares: Mapping[str, float]) -> dict[str, float]:
        """Return the shares to assume for the next frame, sum 1.

        Args:
            training_shares: of the model that will answer, by emotion; others than before begin anew.
        """
        if training_shares != self._training:
            self._training, self._mean = training_shares, dict(training_shares)
        return {
            emotion: ANCHOR * share + (1 - ANCHOR) * self._mean[emotion]
            for emotion, share in training_shares.items()
        }

    def see(self, faces: Sequence[Face], at_s: float) -> None:
        """Take the answer to a frame, corrected for what was assumed.

        All faces of a frame count together as one, whatever their number. Those of low quality do not count.

        Args:
            faces: of the frame, in any order.
            at_s: monotonic seconds.
        """
        step_s = 0.0 if self._last_s is None else min(max(at_s - self._last_s, 0.0), MAX_STEP_S)
        self._last_s = at_s
        seen = [
            face.probabilities
            for face in faces
            if "low_quality" not in face.uncertain_reasons and face.probabilities.keys() == self._mean.keys()
        ]
        if not seen:
            return
        gain = 1 - math.exp(-step_s / MEMORY_S)
        for emotion, mean in self._mean.items():
            now = math.fsum(probabilities[Emotion(emotion)] for probabilities in seen) / len(seen)
            self._mean[emotion] = mean + gain * (now - mean)
