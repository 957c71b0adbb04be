#!/bin/sh
# Behaviour: `frame.side_data` of PyAV raises ValueError ("31 is not a valid Type") for every frame that carries EXIF, as
# a JPEG or a frame of a camera's MJPEG does. None of the frame's side data can be read then, the display matrix among
# it. `frame.rotation` reads that matrix in another way and works.
# Seen with: PyAV 18.1.0 (FFmpeg 8.1.2).
# Source: PyAV, av/sidedata/sidedata.py: `Type` ends at VIDEO_HINT (27) and lacks AV_FRAME_DATA_EXIF (31), and the
# container asks for the type of each entry. The missing names: https://github.com/PyAV-Org/PyAV/pull/2392.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
import sys
from pathlib import Path

import av
import numpy as np

print("av", av.__version__, "FFmpeg", av.ffmpeg_version_info, "numpy", np.__version__)
ORIENTATION, WIDTH = 0x0112, 0x0100  # tags of EXIF

encoder = av.CodecContext.create("mjpeg", "w")
encoder.width, encoder.height, encoder.pix_fmt, encoder.framerate = 64, 48, "yuvj420p", 1
plain = bytes(encoder.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), 100, np.uint8), format="bgr24"))[0])


def with_exif(tag, value):
    entry = tag.to_bytes(2, "big") + b"\0\x03\0\0\0\x01" + value.to_bytes(2, "big") + b"\0\0"
    segment = b"Exif\0\0MM\0*\0\0\0\x08\0\x01" + entry + b"\0\0\0\0"
    return plain[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + plain[2:]


def seen(data):
    """What its side data are, or the error, and the rotation."""
    Path("image.jpg").write_bytes(data)
    with av.open("image.jpg") as film:
        frame = next(film.decode(video=0))
    try:
        kinds = [entry.type.name for entry in frame.side_data]
    except ValueError as err:
        return f"ValueError: {err}", frame.rotation
    return kinds, frame.rotation


without, upright = seen(plain), seen(with_exif(WIDTH, 64))
turned = seen(with_exif(ORIENTATION, 6))
print("no EXIF:                  expected [], 0;                      seen", *without)
print("EXIF without orientation: expected EXIF, 0;                    seen", *upright)
print("EXIF, orientation 6:      expected EXIF, DISPLAYMATRIX, -90;   seen", *turned)
is_error = all(isinstance(kinds, str) and "31 is not" in kinds for kinds, _ in (upright, turned))
sys.exit(not (without == ([], 0) and is_error and turned[1] == -90))
PY
