"""Pixels, no I/O: read a header, decode, align, crop, measure quality; what a detector is.

`header` alone is free of numpy and OpenCV, so the gateway may use it.
"""
