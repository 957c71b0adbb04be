"""A Redis as all rooms that keep something there reach it, and how it is.

Never knows what is kept.
"""
