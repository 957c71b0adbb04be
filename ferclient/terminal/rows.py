"""What came of an image, as text: a table for people, JSON lines and CSV for programs."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TextIO

from ferclient.client import Outcome
from ferclient.errors import Refused
from fercore.contracts.api import Face, Prediction
from fercore.contracts.emotions import EMOTIONS

CSV_BOX = ("x", "y", "width", "height")
CSV_FACE = (*CSV_BOX, "detection_score", "emotion", "score", "uncertain", *EMOTIONS)
"""The columns of one face."""


class Rows(Protocol):
    """Writes what came of one image after the other."""

    def write(self, file: Path, outcome: Outcome) -> None:
        """Write one."""
        ...


class Table:
    """One line a face, in columns; the widest name has to be known before."""

    def __init__(self, output: TextIO, files: Sequence[Path]) -> None:
        self._output = output
        self._width = max([4, *(len(str(file)) for file in files)])
        self._line("FILE", "FACE", "EMOTION", "SCORE", "BOX (x y width height)")

    def write(self, file: Path, outcome: Outcome) -> None:
        """Write the faces of one image, or why there are none."""
        if not isinstance(outcome, Prediction):
            code, detail = error_of(outcome)
            self._line(str(file), "-", f"{code}: {detail}")
            return
        if not outcome.faces:
            self._line(str(file), "-", "no face")
        for number, face in enumerate(outcome.faces, 1):
            score = f"{face.score:.2f}{'?' if face.uncertain else ''}"
            box = " ".join(f"{value:.0f}" for value in dict(face.box).values())
            self._line(str(file), str(number), face.emotion, score, box)

    def _line(self, file: str, face: str, emotion: str, score: str = "", box: str = "") -> None:
        line = f"{file:<{self._width}}  {face:>4}  {emotion:<9}  {score:<5}  {box}"
        print(line.rstrip(), file=self._output)


class JsonLines:
    """One JSON object an image: the server's answer, or `error`."""

    def __init__(self, output: TextIO) -> None:
        self._output = output

    def write(self, file: Path, outcome: Outcome) -> None:
        """Write one object."""
        if isinstance(outcome, Prediction):
            body = outcome.model_dump(mode="json")
        else:
            code, detail = error_of(outcome)
            request_id = outcome.request_id if isinstance(outcome, Refused) else None
            body = {"error": {"code": code, "detail": detail, "request_id": request_id}}
        print(json.dumps({"file": str(file), **body}), file=self._output)


class CsvRows:
    """One row a face; an image without any has one row, without a face's number."""

    def __init__(self, output: TextIO) -> None:
        self._writer = csv.writer(output, lineterminator="\n")
        self._writer.writerow(["file", "face", *CSV_FACE, "error"])

    def write(self, file: Path, outcome: Outcome) -> None:
        """Write the rows of one image."""
        if not isinstance(outcome, Prediction):
            self._writer.writerow([file, "", *no_face_cells(), ": ".join(error_of(outcome))])
            return
        if not outcome.faces:
            self._writer.writerow([file, "", *no_face_cells(), ""])
        for number, face in enumerate(outcome.faces, 1):
            self._writer.writerow([file, number, *face_cells(face), ""])


def face_cells(face: Face) -> list[object]:
    """Return the cells of `CSV_FACE`; an emotion that the model does not know is empty."""
    return [
        *dict(face.box).values(),
        face.detection_score,
        face.emotion,
        face.score,
        face.uncertain,
        *(face.probabilities.get(emotion, "") for emotion in EMOTIONS),
    ]


def no_face_cells() -> list[object]:
    """Return as many empty cells."""
    return [""] * len(CSV_FACE)


def error_of(outcome: Refused | OSError) -> tuple[str, str]:
    """Return code and detail of what went wrong."""
    if isinstance(outcome, Refused):
        return outcome.code, outcome.detail
    return "unreadable_file", outcome.strerror or str(outcome)
