"""Networks and the preprocessing in their graph."""
