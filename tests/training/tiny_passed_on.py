"""Tiny copies of RAF-DB and AffectNet in the layouts in which people pass them on."""

from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path

from tests.training.tiny_images import draw_image, write_image, write_text
from training.data.faces import DataSet, Split

RAF_ORDER = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
"""RAF-DB's numbers, from 1."""

AFFECTNET_ORDER = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
"""AffectNet's numbers, from 0."""

AFFECTNET_WORDS = ("Neutral", "happy", "SAD", "Surprise", "Fear", "disgust", "Anger", "Contempt")


def write_raf(root: Path, lists: Path | None = None, classes: Sequence[str] = "1234567") -> Path:
    """Write four training images and a test image of each class; the lists as well where `lists` is."""
    numbers = count(1)
    for split, each in (("train", 4), ("test", 1)):
        rows = ["image,label"]
        for label, folder in enumerate(classes, start=1):
            for _ in range(each):
                number = next(numbers)
                name = f"{split}_{number:05}_aligned.jpg"
                write_image(root / split / folder / name, draw_image(number, 100))
                rows.append(f"{name},{label}")
        if lists:
            write_text(lists / f"{split}_labels.csv", "\n".join(rows) + "\n")
    return root


def write_affectnet(
    root: Path, classes: Iterable[str], splits: Sequence[str] = ("train", "val", "test"), each: int = 3
) -> Path:
    """Write images of each class; a split named "." is the folder itself."""
    numbers = count()
    for split in splits:
        for folder in classes:
            for _ in range(each):
                number = next(numbers)
                write_image(root / split / folder / f"image{number:07}.png", draw_image(number, 40))
    return root


def write_affectnet_list(root: Path, rows: Iterable[tuple[str, str]]) -> Path:
    """Write `labels.csv` with the columns of a copy on Kaggle."""
    lines = [f"{number},{path},{label},0.87" for number, (path, label) in enumerate(rows)]
    return write_text(root / "labels.csv", "\n".join([",pth,label,relFCs", *lines]) + "\n")


def shown(data: DataSet, split: Split) -> list[str]:
    """Return the label of each face of a split."""
    return [data.labels[number].value for number in data.splits[split].majority]
