"""What outlives a process: the StateStore protocol, a Redis with an append-only file, a store in memory."""
