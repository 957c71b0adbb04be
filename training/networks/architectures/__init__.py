"""Networks, one a file, found by the name in the config. Each offers `build(classes, options)`.

A network maps float32 [n, 1, s, s] (or [n, 3, s, s], where an option says so) to its logits [n, classes] and
its last feature map [n, C, h, w]. Without options it takes grey faces of the default preprocessing, so that
the tests of all architectures find and try a new one by themselves. One that can start from weights of
elsewhere offers `load_pretrained()` too.
"""
