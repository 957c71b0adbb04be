"""How long graphs take for one face on one thread of this CPU, side by side.

Knows no model folder and no data set.
"""

import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from fercore.contracts.card import INPUT_NAME, LOGITS_NAME
from fercore.inference.session import ORT_FAULTS, open_session
from training.errors import TrainingError
from training.measuring.graphs import Crops

TIMED_RUNS = 200
_FAULTS: tuple[type[Exception], ...] = (*ORT_FAULTS, ValueError)


def face_ms(files: Sequence[Path], face: Crops, runs: int = TIMED_RUNS) -> list[float]:
    """Give each graph's median time for one face, uint8 [1, 112, 112, 3], in milliseconds.

    It is the CPU time of this thread, which waits for no other program, and the graphs run in turn, so that a
    machine whose speed drifts keeps their ratio.

    Raises:
        TrainingError: a file is no graph of the tensor contract.
    """
    sessions, times = [], [[0.0] * runs for _ in files]
    for file in files:
        try:
            sessions.append(open_session(file))
            sessions[-1].run([LOGITS_NAME], {INPUT_NAME: face})
        except _FAULTS as err:
            raise TrainingError(
                f"{file} is no graph that can be timed: {' '.join(str(err).split())}"
            ) from err
    for run in range(runs):
        for session, taken in zip(sessions, times, strict=True):
            start = time.thread_time()
            session.run([LOGITS_NAME], {INPUT_NAME: face})
            taken[run] = time.thread_time() - start
    return [1000 * statistics.median(taken) for taken in times]
