"""Gateway: admits images, publishes frames, awaits the replies; never touches a pixel."""
