"""Train, evaluate, calibrate and export emotion models.

Never part of a serving image: nothing that serves imports it.
"""
