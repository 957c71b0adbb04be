"""Gateway: admits pictures, publishes frames, awaits the replies; never touches a pixel."""
