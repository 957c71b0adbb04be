"""`python -m ferclient`: pictures, videos and a camera in a terminal.

Knows the SDK; OpenCV only where pixels are drawn.
"""
