"""Live streams: one session for each WebSocket, its frames, its faces followed and smoothed."""
