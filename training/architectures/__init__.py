"""Networks, one a file, found by the name in the config. Each offers `build(classes, options)`.

A network maps float32 [n, 1, s, s] to its logits [n, classes] and its last feature map [n, C, h, w].
"""
