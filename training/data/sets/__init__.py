"""Data sets, one a file, found by the name in the config; each offers `load`.

    load(folder: Path, training_rows: str, options: Mapping[str, object] | None = None) -> DataSet

`folder` is the data folder (`--data`), `training_rows` matters only where rows have votes, `options` is
checked by the module's own `Options`. A file named in a message is named with its line where it has lines.
"""
