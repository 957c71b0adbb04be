"""What the readers in `training/data/sets/` share: files, images, class names, splits."""
