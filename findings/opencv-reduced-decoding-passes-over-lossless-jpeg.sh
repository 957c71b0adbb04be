#!/bin/sh
# Behaviour: `cv2.imdecode` with IMREAD_REDUCED_COLOR_2, _4 or _8 gives a lossless JPEG (SOF3) in full size, without an
# error; baseline and progressive JPEGs come back at the scale asked for. Code that derives a scale or an orientation
# from the size that it asked for goes wrong.
# Seen with: opencv-python-headless 4.14.0.94 (libjpeg-turbo 3.1.2).
# Source: OpenCV, modules/imgcodecs/src/grfmt_jpeg.cpp, sets `scale_denom` and takes the size that libjpeg answers;
# libjpeg scales in the inverse DCT, which a lossless JPEG has not.
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
HEIGHT, WIDTH = 40, 64
rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
image = np.dstack([rows * 5, columns * 4, (rows + columns) * 2]).astype(np.uint8)  # R G B


def lossless(image):
    """Predictor 1 (the left neighbour), one Huffman table of nine codes of four bits (ITU-T T.81, annex H)."""
    samples = image.astype(int)
    bits = ""
    for y in range(HEIGHT):
        for x in range(WIDTH):
            for band in range(3):
                near = samples[y, x - 1, band] if x else samples[y - 1, 0, band] if y else 128
                difference = samples[y, x, band] - near
                category = int(abs(difference)).bit_length()
                value = difference if difference >= 0 else difference + (1 << category) - 1
                bits += f"{category:04b}" + (f"{value:0{category}b}" if category else "")
    bits += "1" * (-len(bits) % 8)
    scan = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    size = HEIGHT.to_bytes(2, "big") + WIDTH.to_bytes(2, "big")
    frame = b"\xff\xc3\0\x11\x08" + size + b"\x03R\x11\0G\x11\0B\x11\0"
    table = b"\xff\xc4\0\x1c\0" + bytes([0, 0, 0, 9] + [0] * 12) + bytes(range(9))
    return b"\xff\xd8" + frame + table + b"\xff\xda\0\x0c\x03R\0G\0B\0\x01\0\0" + scan + b"\xff\xd9"


def shape(data, flag):
    return cv2.imdecode(np.frombuffer(data, np.uint8), flag).shape[:2]


data = lossless(image)
is_exact = np.array_equal(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB), image)
print("the lossless JPEG decodes exactly:", is_exact)
baseline = cv2.imencode(".jpg", image)[1].tobytes()
flags = {2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8}
is_as_described = is_exact
for divisor, flag in flags.items():
    expected = HEIGHT // divisor, WIDTH // divisor
    print(f"1/{divisor}: expected {expected}; baseline {shape(baseline, flag)}, lossless {shape(data, flag)}")
    is_as_described &= shape(baseline, flag) == expected and shape(data, flag) == (HEIGHT, WIDTH)
sys.exit(not is_as_described)
PY
