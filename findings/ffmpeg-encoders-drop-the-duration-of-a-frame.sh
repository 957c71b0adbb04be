#!/bin/sh
# Behaviour: `frame.duration` does not reach the file: encoders set it to zero unless the flag `frame_duration` is set.
# The muxer then makes up how long the last picture is shown: one interval of the nominal rate, or nothing in an mp4
# whose stream states no rate. A film of uneven times, as of slides, is shorter than it was meant.
# Seen with: PyAV 18.1.0 (FFmpeg 8.1.2), libx264 without B-frames, mp4. With B-frames the flag alone is not enough, as
# an mp4 stores the time to the next frame in the order of decoding.
# Source: FFmpeg, libavcodec/encode.c, `encode_send_frame_internal` ("unset frame duration unless
# AV_CODEC_FLAG_FRAME_DURATION is set"), and the flag in libavcodec/avcodec.h.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PY'
import sys
from fractions import Fraction

import av
import numpy as np
from av.codec.context import Flags

print("av", av.__version__, "FFmpeg", av.ffmpeg_version_info, "numpy", np.__version__)
MILLISECONDS = Fraction(1, 1000)
SHOWN_MS = [(0, 500), (500, 400), (900, 1500)]  # from, for so long


def durations_ms(rate, is_flagged):
    """Write three pictures; give how long each is shown, by the packets of the film."""
    with av.open("film.mp4", "w") as film:
        encoder = av.CodecContext.create("libx264", "w")
        if rate is None:
            stream = film.add_mux_stream("h264", width=64, height=48, time_base=MILLISECONDS)
        else:
            stream = film.add_stream("libx264", rate)
            encoder = stream.codec_context
        encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 64, 48, "yuv420p", MILLISECONDS
        encoder.options = {"bf": "0"}
        if is_flagged:
            encoder.flags |= Flags.frame_duration
        packets = []
        for time_ms, shown_ms in SHOWN_MS:
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 100, np.uint8), format="bgr24")
            frame.pts, frame.duration, frame.time_base = time_ms, shown_ms, MILLISECONDS
            packets += encoder.encode(frame)
        for packet in packets + encoder.encode(None):
            packet.stream = stream
            film.mux(packet)
    with av.open("film.mp4") as film:
        return [round(1000 * float((p.duration or 0) * p.time_base)) for p in film.demux(video=0) if p.size]


expected, is_as_described = [shown_ms for _, shown_ms in SHOWN_MS], True
for rate, last_ms in ((25, 40), (None, 0)):
    plain, flagged = durations_ms(rate, is_flagged=False), durations_ms(rate, is_flagged=True)
    print(f"rate {rate}: expected {expected} ms; seen {plain}, with the flag {flagged}")
    is_as_described &= plain == [*expected[:-1], last_ms] and flagged == expected
sys.exit(not is_as_described)
PY
