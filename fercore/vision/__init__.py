"""Pixels, no I/O: read a header, decode, align, crop, judge quality; what a detector is.

Knows no transport. `header` alone is free of numpy and OpenCV, so the gateway may use it.
"""
