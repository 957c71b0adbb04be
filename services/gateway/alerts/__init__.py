"""Alert rules, and their webhook; knows no live stream and no recording."""
