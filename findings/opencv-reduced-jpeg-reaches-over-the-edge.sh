#!/bin/sh
# Behaviour: a JPEG decoded with IMREAD_REDUCED_COLOR_8 has ceil(side / 8) pixels, and each of them stands for exactly
# eight pixels of the image: the last one reaches over the edge. So positions scale by 8, not by the ratio of the sides
# (241 / 31 = 7.77), which puts them off by up to 7 pixels at the far edge. Where EXIF turns the image, the overhang is
# turned with it, to the left or to the top, and shifts all positions.
# Seen with: opencv-python-headless 4.14.0.94 (libjpeg-turbo 3.1.2).
# Source: libjpeg computes reduced sides as ceil(side * scale) (`jpeg_calc_output_dimensions`), and the inverse DCT of
# each block of 8 x 8 pixels gives one pixel.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check opencv-python-headless==4.14.0.94 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import sys

import cv2
import numpy as np

print("opencv", cv2.__version__, "numpy", np.__version__)
WIDTH, HEIGHT, EDGE, SCALE = 241, 64, 200, 8
image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
image[:, EDGE:] = 255  # white from column 200 on
data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def reduced(coded):
    return cv2.imdecode(np.frombuffer(coded, np.uint8), cv2.IMREAD_REDUCED_COLOR_8)


row = reduced(data)[HEIGHT // SCALE // 2, :, 0].astype(float)
edge = len(row) - row.sum() / 255  # in reduced pixels
by_ratio, by_eight = edge * WIDTH / len(row), edge * SCALE
print(f"{WIDTH} columns become {len(row)}; the edge at {EDGE} lies at {edge:.2f} of them")
print(f"by the ratio of the sides: {by_ratio:.1f}; by eight: {by_eight:.1f}")

# orientation 3: shown turned by 180 degrees, so that the white columns are the first 41
tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x03\0\0\0\0\0\0"
segment = b"Exif\0\0" + tiff
turned = data[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + data[2:]
row = reduced(turned)[HEIGHT // SCALE // 2, :, 0].astype(float)
seen = row.sum() / 255 * SCALE
print(f"turned by 180 degrees: the edge is at {WIDTH - EDGE}; eight times its place says {seen:.1f}, 7 too much")
sys.exit(not (abs(by_eight - EDGE) < 1 and abs(by_ratio - EDGE) > 4 and abs(seen - (WIDTH - EDGE) - 7) < 1))
PY
