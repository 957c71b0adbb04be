#!/bin/sh
# Behaviour: OpenCV decodes a grey lossless JPEG (SOF3, one component) with IMREAD_GRAYSCALE, bit for bit, and gives None
# with IMREAD_COLOR, the default of `cv2.imread`. Grey baseline JPEGs come back as three equal channels.
# Seen with: opencv-python-headless 4.14.0.94 (libjpeg-turbo 3.1.2).
# Source: OpenCV, modules/imgcodecs/src/grfmt_jpeg.cpp, asks libjpeg for RGB (`out_color_space`) wherever colour is
# wanted; libjpeg-turbo converts no colours in lossless mode and raises an error, which becomes None.
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
grey = (np.mgrid[0:HEIGHT, 0:WIDTH].sum(axis=0) * 2).astype(np.uint8)


def lossless(image):
    """Grey, predictor 1 (the left neighbour), one Huffman table of nine codes of four bits (ITU-T T.81, annex H)."""
    samples = image.astype(int)
    bits = ""
    for y in range(HEIGHT):
        for x in range(WIDTH):
            near = samples[y, x - 1] if x else samples[y - 1, 0] if y else 128
            difference = samples[y, x] - near
            category = int(abs(difference)).bit_length()
            value = difference if difference >= 0 else difference + (1 << category) - 1
            bits += f"{category:04b}" + (f"{value:0{category}b}" if category else "")
    bits += "1" * (-len(bits) % 8)
    scan = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    frame = b"\xff\xc3\0\x0b\x08" + HEIGHT.to_bytes(2, "big") + WIDTH.to_bytes(2, "big") + b"\x01\x01\x11\0"
    table = b"\xff\xc4\0\x1c\0" + bytes([0, 0, 0, 9] + [0] * 12) + bytes(range(9))
    return b"\xff\xd8" + frame + table + b"\xff\xda\0\x08\x01\x01\0\x01\0\0" + scan + b"\xff\xd9"


def decoded(data, flag):
    return cv2.imdecode(np.frombuffer(data, np.uint8), flag)


data, baseline = lossless(grey), cv2.imencode(".jpg", grey)[1].tobytes()
as_grey, as_colour = decoded(data, cv2.IMREAD_GRAYSCALE), decoded(data, cv2.IMREAD_COLOR)
print("baseline in colour: ", decoded(baseline, cv2.IMREAD_COLOR).shape)
print("lossless in grey:   ", as_grey.shape, "exact:", np.array_equal(as_grey, grey))
print("lossless in colour: ", None if as_colour is None else as_colour.shape, f"(expected: {(HEIGHT, WIDTH, 3)})")
sys.exit(not (np.array_equal(as_grey, grey) and as_colour is None))
PY
