"""The commands of `python -m training`, one a file, each with `add_arguments(parser)` and `run(options)`."""
