"""Train any number of configs on the same rows with the same budget, and say which differences are real."""
