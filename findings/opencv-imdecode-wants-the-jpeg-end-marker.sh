#!/bin/sh
# Behaviour: OpenCV's two ways into one decoder disagree on a JPEG that lacks only its end marker (FF D9), as cameras
# and cut-off sockets write it. `cv2.imread` of the file gives the whole image, `cv2.imdecode` of the same bytes gives
# None. With the marker put back, `imdecode` gives the same image bit for bit.
# Seen with: opencv-python-headless 4.14.0.94 (Linux, x86-64).
# Source: OpenCV, modules/imgcodecs/src/grfmt_jpeg.cpp: for bytes in memory `fill_input_buffer` fails at the end of the
# data, while `imread` uses the file source of libjpeg, which puts an end marker there and warns.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check opencv-python-headless==4.14.0.94 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
import sys
from pathlib import Path

import cv2
import numpy as np

print("opencv", cv2.__version__, "numpy", np.__version__)
rows, columns = np.mgrid[0:48, 0:64]
image = np.dstack([rows * 5, columns * 4, (rows + columns) * 2]).astype(np.uint8)
whole = cv2.imencode(".jpg", image)[1].tobytes()
without_end = whole[:-2]
Path("without_end.jpg").write_bytes(without_end)


def decoded(data):
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


from_file, from_memory = cv2.imread("without_end.jpg"), decoded(without_end)
print("imread of the file:     ", None if from_file is None else from_file.shape)
print("imdecode of its bytes:  ", None if from_memory is None else from_memory.shape)
print("expected: both the same; seen: an image and None")
is_same = np.array_equal(decoded(without_end + b"\xff\xd9"), decoded(whole))
print("imdecode with FF D9 put back is the whole image:", is_same)
sys.exit(not (from_file is not None and from_memory is None and is_same))
PY
