"""What the readers in `training/data/sets/` share: files, pictures, class names, splits."""
