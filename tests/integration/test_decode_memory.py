"""How much memory a decoding takes, in a process of its own."""

import subprocess
import sys

from tests.support.requires import ROOT


def test_a_large_image_with_alpha_takes_no_more_memory_than_its_pixels():
    megapixels = 12
    source = (
        "import io, resource, sys; from PIL import Image; from fercore.vision.decode import decode\n"
        "buffer = io.BytesIO(); Image.new('RGBA', (4000, 3000), (9, 9, 9, 99)).save(buffer, 'PNG')\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "assert decode(buffer.getvalue()).shape == (3000, 4000, 3)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert int(done.stdout) * 1024 < megapixels * 1_000_000 * 12  # bytes: 4 stored, 3 composited, and some
