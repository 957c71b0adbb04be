"""Train and measure face detectors: pictures, views of them, the network, its assignment and losses.

Knows no emotion. Serving's seam is `fercore.vision.detection`.
"""
