"""A tiny data set in the true format of FER2013 and FER+."""

import csv
from pathlib import Path

import cv2
import numpy as np

LABEL_COLUMNS = ("row", "atlas", "tile", "emotion", "usage", "label_row_certain", "pixel_exact")
VOTE_COLUMNS = (
    "Usage", "Image name", "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear",
    "contempt", "unknown", "NF",
)  # fmt: skip
USAGES = ("Training", "PublicTest", "PrivateTest")
ROWS = ((0, "train_a.png", 40), (0, "train_b.png", 24), (1, "eval.png", 70), (2, "eval.png", 30))
"""Usage, atlas and how many rows of it."""


class FerFolder:
    """A data folder that is written as the true one is; change `labels`, `votes` or `tiles`, then `write`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        random = np.random.default_rng(7)
        self.labels: list[dict[str, object]] = []
        self.votes: list[dict[str, object]] = []
        self.tiles: list[np.ndarray] = []
        used = dict.fromkeys(("train_a.png", "train_b.png", "eval.png"), 0)
        for usage, atlas, count in ROWS:
            for _ in range(count):
                row, emotion = len(self.labels), int(random.integers(8))
                self.labels.append(
                    dict(zip(LABEL_COLUMNS, (row, atlas, used[atlas], 0, usage, 1, 1), strict=True))
                )
                votes = dict.fromkeys(VOTE_COLUMNS[2:], 0)
                votes[VOTE_COLUMNS[2 + emotion]] = 8
                votes[VOTE_COLUMNS[2 + (emotion + 1) % 8]] = 2
                self.votes.append({"Usage": USAGES[usage], "Image name": f"fer{row:07}.png", **votes})
                # stripes whose width encodes the emotion: it can be learned
                tile = random.integers(0, 90, (48, 48), dtype=np.uint8)
                tile[np.arange(48) // (emotion + 1) % 2 == 0] += 150
                self.tiles.append(tile)
                used[atlas] += 1

    def write(self) -> Path:
        folder = self.root / "fer2013"
        folder.mkdir(parents=True, exist_ok=True)
        write_csv(folder / "labels.csv", LABEL_COLUMNS, self.labels)
        write_csv(folder / "fer2013new.csv", VOTE_COLUMNS, self.votes)
        for atlas in ("train_a.png", "train_b.png", "eval.png"):
            sheet = np.zeros((48, 120 * 48), np.uint8)
            for label, tile in zip(self.labels, self.tiles, strict=True):
                if label["atlas"] == atlas:
                    left = int(str(label["tile"])) * 48
                    sheet[:, left : left + 48] = tile
            cv2.imwrite(str(folder / atlas), sheet)
        return self.root


def write_csv(path: Path, columns: tuple[str, ...], rows: list[dict[str, object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
