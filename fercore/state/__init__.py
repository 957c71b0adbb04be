"""What must outlive a process: the StateStore protocol, Redis with an append-only file, the in-memory store.

Never looks into a field or a task.
"""
