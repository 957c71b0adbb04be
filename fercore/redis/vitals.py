"""How a Redis is, in the few figures that an operator acts on."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Vitals:
    """One reading.

    Attributes:
        memory_bytes: in use.
        memory_limit_bytes: at which writes are refused; 0 is no limit.
        clients: connections to it, of all processes.
    """

    memory_bytes: int
    memory_limit_bytes: int
    clients: int
