#!/bin/sh
# Behaviour: a display matrix of a film can mirror as well as turn. `frame.rotation` of PyAV tells an angle and no
# mirror: a film mirrored left to right reports 180 degrees, one that is upside down reports 0, and one with rows and
# columns exchanged reports a quarter turn. Only `frame.side_data["DISPLAYMATRIX"]` tells them apart.
# Seen with: PyAV 18.1.0 (FFmpeg 8.1.2).
# Source: FFmpeg, libavutil/display.c: `av_display_rotation_get` is the angle of the first column of the matrix
# alone; libavutil/display.h says of the matrix that it can flip. The form of the matrix: ISO/IEC 14496-12, 6.2.2.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
import struct
import sys

import av
import numpy as np

print("av", av.__version__, "FFmpeg", av.ffmpeg_version_info, "numpy", np.__version__)
# how a picture lies: a, b, c, d of its matrix; the one without mirror that reports the same rotation
MIRRORED = {
    "mirrored": ((-1, 0, 0, 1), (-1, 0, 0, -1)),
    "upside down": ((1, 0, 0, -1), (1, 0, 0, 1)),
    "rows and columns exchanged": ((0, 1, 1, 0), (0, 1, -1, 0)),
    "exchanged the other way": ((0, -1, -1, 0), (0, -1, 1, 0)),
}


def read(matrix):
    """Rotation, and matrix, of a film that was written with a matrix."""
    a, b, c, d = (value << 16 for value in matrix)
    with av.open("film.mp4", "w") as film:
        stream = film.add_stream("libx264", 25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        film.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="bgr24")))
        film.mux(stream.encode(None))
    with av.open("film.mp4") as film:
        frame = next(film.decode(video=0))
    data = frame.side_data.get("DISPLAYMATRIX")  # none for the identity
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(data)) if data else (1 << 16, 0, 0, 0, 1 << 16)
    return frame.rotation, tuple(value >> 16 for value in (a, b, c, d))


is_as_described = True
for name, (matrix, turned) in MIRRORED.items():
    rotation, seen = read(matrix)
    like, _ = read(turned)
    print(f"{name}: rotation {rotation}, the same as of the turn {turned}, {like}; the side data say {seen}")
    is_as_described &= rotation == like and seen == matrix
print("expected: something in `rotation`, or beside it, that tells a mirror; seen: nothing")
sys.exit(not is_as_described)
PY
