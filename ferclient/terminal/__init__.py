"""`python -m ferclient`: images, videos and a camera in a terminal; OpenCV only where pixels are drawn."""
