"""Turn logits into calibrated probabilities, by one function for what is fitted and for what is served."""

import numpy as np
import numpy.typing as npt


def softmax(
    logits: npt.NDArray[np.float32] | npt.NDArray[np.float64], temperature: float = 1.0
) -> npt.NDArray[np.float64]:
    """Return the softmax of logits that are divided by a temperature (Guo et al., 2017, arXiv:1706.04599).

    Args:
        logits: float32 or float64 [n, K], finite; computed in float64.
        temperature: above 0; that of the model's card, or 1 for a model that is not calibrated.

    Returns:
        float64 [n, K], in [0, 1], rows of sum 1.
    """
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
