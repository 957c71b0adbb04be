"""Train and measure face detectors: pictures, views of them, the network, its assignment and losses."""
