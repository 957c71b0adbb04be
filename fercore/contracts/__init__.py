"""Pure data that crosses a process: emotions, geometry, messages, public bodies, errors, model cards.

Knows no I/O, no arrays and no framework.
"""
