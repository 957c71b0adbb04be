"""Exporters, a file each: public weights of a detector in, the graphs of its plug-in out."""
