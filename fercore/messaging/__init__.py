"""Move envelopes: the Queue protocol, Redis streams, the in-memory queue, the one consume loop."""
