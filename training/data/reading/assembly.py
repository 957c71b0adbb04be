"""Assemble rows with one label each into a data set with clean splits.

FER+, whose rows have votes, is assembled in its own module.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from fercore.contracts.card import DataSource
from fercore.contracts.emotions import Emotion
from training.data.faces import SPLITS, DataSet, Faces, Split
from training.data.reading.class_labels import in_canonical_order
from training.data.reading.split_hygiene import Tiles, check_splits, find_copies

COPIES = "pixel copies of validation or test rows"
UNCERTAIN = "rows whose label may belong to another tile"


@dataclass(frozen=True, slots=True)
class LabelledRows:
    """What a reader found, row by row.

    Attributes:
        tiles: uint8 [n, h, w] grey or [n, h, w, 3] RGB.
        emotions: one a row.
        splits: one a row.
        persons: who is shown, one a row, where it is known.
        is_certain: whether the label surely belongs to the tile; all do where it is None.
    """

    tiles: Tiles
    emotions: Sequence[Emotion]
    splits: Sequence[Split]
    persons: Sequence[str] | None = None
    is_certain: Sequence[bool] | None = None


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where rows come from.

    Attributes:
        place: the folder or file, for messages.
        name: of the data set, for the card.
        terms: its licence or terms of use.
        sha256: of what was read.
        dropped: how many rows the reader itself left out, by reason.
        warnings: what a user must know about the splits.
        split_names: as `DataSet` has them.
    """

    place: object
    name: str
    terms: str
    sha256: str
    dropped: Counter[str] = field(default_factory=Counter)
    warnings: tuple[str, ...] = ()
    split_names: Mapping[Split, str] = field(default_factory=dict)


def assemble(rows: LabelledRows, provenance: Provenance) -> DataSet:
    """Label, mark copies, drop them from training, and check what is left.

    Raises:
        TrainingError: a split is empty, training lacks an emotion, or a person is in two splits.
    """
    labels = in_canonical_order(tuple(rows.emotions))
    number_of = {emotion: number for number, emotion in enumerate(labels)}
    majority = np.array([number_of[emotion] for emotion in rows.emotions], np.int64)
    certain = [True] * len(majority) if rows.is_certain is None else rows.is_certain
    everything = Faces(
        tiles=rows.tiles,
        votes=np.eye(len(labels), dtype=np.float32)[majority],
        majority=majority,
        is_certain=np.array(certain, np.bool_),
        is_copied=find_copies(rows.tiles, rows.splits),
        persons=None if rows.persons is None else np.array(rows.persons, np.str_),
    )
    is_in = {split: np.array([own == split for own in rows.splits], np.bool_) for split in SPLITS}
    dropped = provenance.dropped + Counter(
        {
            COPIES: int((is_in["train"] & everything.is_copied).sum()),
            UNCERTAIN: int((is_in["train"] & ~everything.is_copied & ~everything.is_certain).sum()),
        }
    )
    is_in["train"] &= everything.is_certain & ~everything.is_copied
    splits = {split: everything.select(is_in[split]) for split in SPLITS}
    check_splits(splits, labels, provenance.place)
    source = DataSource(name=provenance.name, terms=provenance.terms, rows=len(splits["train"]))
    return DataSet(
        splits,
        (source,),
        provenance.sha256,
        labels=labels,
        dropped=dict(dropped),
        warnings=provenance.warnings,
        split_names=provenance.split_names,
    )
