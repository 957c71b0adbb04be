"""Train and measure face detectors: images, views of them, the network, its assignment and losses."""
