"""Data sets: their files, faces and splits, and how each is read."""
