"""Recordings of live streams and their trends; scores only, never images."""
