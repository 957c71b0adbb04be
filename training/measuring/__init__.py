"""Figures of merit of a model, wherever it runs, and studies of how faces are framed and seen."""
