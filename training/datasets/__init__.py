"""Data sets, one a file, found by the name in the config. Each offers `load(folder, training_rows)`."""
