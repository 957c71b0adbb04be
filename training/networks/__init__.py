"""Networks and what stands before them in the graph."""
