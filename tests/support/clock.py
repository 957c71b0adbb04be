"""A clock for tests that stands still until the test lets time pass."""


class Clock:
    """Monotonic seconds that the test sets."""

    def __init__(self, now_s: float = 0.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s
