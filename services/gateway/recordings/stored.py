"""The form in which a recording is kept: the names of a record's fields and what stands in them.

Knows no store and no clock. Scores only: nothing here could hold an image.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from fercore.contracts.errors import InternalError
from fercore.contracts.live import Alert

VERSION = 1
PER_UNIT = 1_000_000
"""Sums of probabilities are kept in whole millionths, which take fewer bytes than floats."""

HEAD_FIELD = "head"


class Head(msgspec.Struct, frozen=True):
    """What is known of a recording from its start."""

    started_at: datetime
    label: str | None
    schema_version: int = VERSION


class FaceSecond(msgspec.Struct, frozen=True, array_like=True):
    """What was seen of one face in one second; emotions by their place in the canonical order.

    Attributes:
        face_id: of the stream.
        frames: in which it was seen.
        counts: frames by smoothed emotion; those never shown are left out.
        sums: of the raw probabilities, in millionths, of every emotion that the model knows.
    """

    face_id: int
    frames: int
    counts: dict[int, int]
    sums: dict[int, int]


_SECOND = msgspec.msgpack.Decoder(list[FaceSecond])


@dataclass(frozen=True, slots=True)
class StoredRecording:
    """A recording as it was read; `seconds` count from its start, and are decoded when they are asked for."""

    head: Head
    seconds: Mapping[int, bytes]
    alerts: Sequence[Alert]

    def rows(self) -> Iterator[tuple[int, FaceSecond]]:
        """Yield every face of every second, one at a time: all at once would take ten times the bytes.

        Raises:
            InternalError: what is kept cannot be read.
        """
        try:
            for second, content in self.seconds.items():
                for face in _SECOND.decode(content):
                    yield second, face
        except msgspec.DecodeError as err:
            raise InternalError from err


def second_field(second: int, faces: Sequence[FaceSecond]) -> tuple[str, bytes]:
    """Return the name and the content of the field for one second."""
    return f"second:{second}", msgspec.msgpack.encode(faces)


def alert_field(number: int, alert: Alert) -> tuple[str, bytes]:
    """Return the name and the content of the field for one alert."""
    return f"alert:{number}", alert.model_dump_json().encode()


def read(fields: Mapping[str, bytes]) -> StoredRecording:
    """Read a recording.

    Raises:
        InternalError: it was written by a version that this one does not know.
    """
    seconds: dict[int, bytes] = {}
    alerts: dict[int, Alert] = {}
    try:
        head = msgspec.json.decode(fields[HEAD_FIELD], type=Head)
        if head.schema_version != VERSION:
            raise InternalError
        for name, content in fields.items():
            kind, _, number = name.partition(":")
            if kind == "second":
                seconds[int(number)] = content
            elif kind == "alert":
                alerts[int(number)] = Alert.model_validate_json(content)
    except (KeyError, msgspec.DecodeError, ValueError) as err:
        raise InternalError from err
    return StoredRecording(head, seconds, [alerts[number] for number in sorted(alerts)])
