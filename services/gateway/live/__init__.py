"""Live streams: one for each WebSocket, its frames, its faces followed and smoothed."""
