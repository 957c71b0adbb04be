"""Exporters, a file each: weights of a detector in, the graphs of its plug-in out."""
