"""One training run: its folder, its loop, and all that is learnt by."""
