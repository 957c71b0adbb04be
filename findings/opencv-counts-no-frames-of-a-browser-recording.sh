#!/bin/sh
# Behaviour: a WebM as browsers record it (MediaRecorder) states neither a duration nor a frame rate, and its frames come
# at uneven times. `cv2.VideoCapture` then answers 1000 frames a second, which is the clock of the file, and a frame
# count of -9.2e18. CAP_PROP_POS_MSEC is right for each frame, and all frames can be read. More even times give a guess
# for the rate (29.8, 30, 33); the count is as wrong.
# Seen with: opencv-python-headless 4.14.0.94, PyAV 18.1.0 (FFmpeg 8.1.2).
# Source: https://github.com/opencv/opencv/issues/22571, and modules/videoio/src/cap_ffmpeg_impl.hpp: `get_total_frames`
# multiplies the duration by the rate; of a film without duration FFmpeg says AV_NOPTS_VALUE, the lowest number.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    opencv-python-headless==4.14.0.94 av==18.1.0 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

print("opencv", cv2.__version__, "av", av.__version__, "numpy", np.__version__)
MILLISECONDS = Fraction(1, 1000)
times_ms = [0] + np.cumsum(np.random.default_rng(0).integers(20, 50, 39)).tolist()

with av.open("film.webm", "w", options={"live": "1"}) as film:
    encoder = av.CodecContext.create("libvpx", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 64, 48, "yuv420p", MILLISECONDS
    stream = film.add_mux_stream("vp8", width=64, height=48, time_base=MILLISECONDS)  # states no rate
    for number, time_ms in enumerate(times_ms):
        frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 10 + 5 * number, np.uint8), format="bgr24")
        frame.pts = time_ms
        for packet in encoder.encode(frame) + (encoder.encode(None) if time_ms == times_ms[-1] else []):
            packet.stream = stream
            film.mux(packet)

data = Path("film.webm").read_bytes()
header = data[: data.index(b"\x1f\x43\xb6\x75")]  # what stands before the first cluster
states = {"duration": b"\x44\x89" in header, "frame duration": b"\x23\xe3\x83" in header}
print("stated in the file:", states)

capture = cv2.VideoCapture("film.webm")
rate, count, seen_ms = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT), []
while capture.read()[0]:
    seen_ms.append(capture.get(cv2.CAP_PROP_POS_MSEC))
print(f"frames a second: expected {1000 / np.diff(times_ms).mean():.1f}, or 0 for unknown; seen {rate}")
print(f"frames: expected {len(times_ms)}, or 0 for unknown; seen {count:.4g}; {len(seen_ms)} can be read")
is_timed = len(seen_ms) == len(times_ms) and np.allclose(seen_ms, times_ms)
print("the times of the frames are right:", is_timed)
sys.exit(not (not any(states.values()) and rate == 1000 and count < -1e15 and is_timed))
PY
