"""What the readers in `training/datasets/` share: files, pictures, class names, splits.

Knows no data set's layout.
"""
