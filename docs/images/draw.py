"""Draw the README's picture: the portrait, the box and the scores that a running service answered.

`python docs/images/draw.py URL` posts `docs/images/astronaut.jpg` and writes `docs/images/answer.jpg`.
"""

import sys
from pathlib import Path

import httpx
from PIL import Image, ImageDraw, ImageFont

FOLDER = Path(__file__).parent
PORTRAIT = FOLDER / "astronaut.jpg"
GREEN, WHITE, GREY, DARK = (46, 204, 113), (245, 245, 245), (150, 150, 150), (24, 26, 27)
BAR_PX = 230


def main() -> None:
    """Ask the service and draw its answer."""
    url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"
    response = httpx.post(f"{url}/predict", files={"file": PORTRAIT.read_bytes()}, timeout=10)
    answer = response.raise_for_status().json()
    portrait = Image.open(PORTRAIT).convert("RGB")
    canvas = Image.new("RGB", (portrait.width + 400, portrait.height), DARK)
    canvas.paste(portrait, (0, 0))
    draw = ImageDraw.Draw(canvas)
    font, large = ImageFont.load_default(18), ImageFont.load_default(26)
    (face,) = answer["faces"]
    box = face["box"]
    corner = (box["x"], box["y"])
    draw.rectangle([*corner, box["x"] + box["width"], box["y"] + box["height"]], outline=GREEN, width=3)
    label = f" {face['emotion']} {face['score']:.2f} "
    place = draw.textbbox((box["x"], box["y"] - 38), label, large)
    draw.rectangle([place[0], place[1] - 4, place[2], box["y"]], fill=GREEN)
    draw.text((box["x"], box["y"] - 38), label, DARK, large)
    left, top = portrait.width + 30, 30
    for emotion, probability in face["probabilities"].items():
        draw.text((left, top), emotion, WHITE, font)
        start = left + 105
        draw.rectangle([start, top + 4, start + BAR_PX, top + 18], outline=GREY)
        draw.rectangle([start, top + 4, start + BAR_PX * probability, top + 18], fill=GREEN)
        top += 36
    top += 20
    for stage, ms in answer["timings_ms"].items():
        draw.text((left, top), f"{stage}", GREY, font)
        draw.text((left + 105, top), f"{ms:.1f} ms", GREY, font)
        top += 24
    canvas.save(FOLDER / "answer.jpg", quality=88)


if __name__ == "__main__":
    main()
