"""The shared library: a room per layer, imports only downwards (see `docs/architecture.md`)."""
