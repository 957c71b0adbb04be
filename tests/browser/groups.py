"""Group pictures: heads of the portrait with room between them."""

from PIL import Image

from tests.support.images import astronaut, on_canvas

HEAD = (134, 0, 314, 180)
"""Where the head is in the portrait."""


def group(columns: int, rows: int, size: tuple[int, int], head_px: int) -> Image.Image:
    """Spread heads evenly over a picture of this size."""
    head = astronaut().crop(HEAD).resize((head_px, head_px), Image.Resampling.LANCZOS)
    middles = [
        ((column + 0.5) * size[0] / columns, (row + 0.5) * size[1] / rows)
        for row in range(rows)
        for column in range(columns)
    ]
    return on_canvas(head, size, [(round(x - head_px / 2), round(y - head_px / 2)) for x, y in middles])
