#!/bin/sh
# Behaviour: grey BGR frames that PyAV (swscale) converts to yuv420p and back come out up to 5 levels darker and tinted:
# blue, green and red differ by up to 3. The coded chroma is 127 where grey is 128; the same frames as RGB give 128.
# ACCURATE_RND makes the coded frame right, but tints when it is set alone for the way back. ACCURATE_RND |
# FULL_CHR_H_INT both ways keeps grey grey, to one level.
# Seen with: PyAV 18.1.0 (FFmpeg 8.1.2, libswscale 9.5.102) on x86-64.
# Source: FFmpeg, libswscale/swscale_unscaled.c: BGR to yuv420p takes a fast path (`bgr24ToYv12Wrapper`) unless
# SWS_ACCURATE_RND is set; https://trac.ffmpeg.org/ticket/979. The flags: https://ffmpeg.org/ffmpeg-scaler.html.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import sys

import av
import numpy as np
from av.video.reformatter import Interpolation

swscale = ".".join(map(str, av.library_versions["libswscale"]))
print("av", av.__version__, "FFmpeg", av.ffmpeg_version_info, "libswscale", swscale, "numpy", np.__version__)
PLAIN = Interpolation.BICUBIC
ACCURATE = PLAIN | Interpolation.ACCURATE_RND
EXACT = ACCURATE | Interpolation.FULL_CHR_H_INT


def there_and_back(order, grey, flags):
    """The chroma of the coded frame, and by how much its three colours are off in the middle."""
    frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), grey, np.uint8), format=order)
    coded = frame.reformat(format="yuv420p", interpolation=flags)
    image = coded.reformat(format=order, interpolation=flags).to_ndarray()
    return {bytes(plane)[0] for plane in coded.planes[1:]}, image[24, 32].astype(int) - grey


def measured(order, flags, name):
    """All chroma that is seen, and the largest difference of colours, over all greys."""
    results = [there_and_back(order, grey, flags) for grey in range(256)]
    chroma, off = set().union(*(seen for seen, _ in results)), np.array([difference for _, difference in results])
    tint = int(np.ptp(off, axis=1).max())
    print(f"{order}, {name}: chroma expected {{128}}, seen {chroma}; colours expected to differ by 0, seen {tint}; "
          f"off by up to {abs(off).max()}, at grey 100 by {off[100].tolist()}")
    return chroma, tint


plain_bgr, plain_rgb = measured("bgr24", PLAIN, "no flag"), measured("rgb24", PLAIN, "no flag")
accurate = measured("bgr24", ACCURATE, "ACCURATE_RND")
exact = measured("bgr24", EXACT, "ACCURATE_RND | FULL_CHR_H_INT")
is_as_described = 127 in plain_bgr[0] and plain_bgr[1] >= 2 and plain_rgb == ({128}, 0)
sys.exit(not (is_as_described and accurate[0] == {128} and accurate[1] >= 2 and exact == ({128}, 0)))
PY
