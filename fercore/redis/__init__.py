"""Reach a Redis in bounded time, and read how it is."""
