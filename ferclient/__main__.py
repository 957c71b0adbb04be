"""`ferclient`, or `python -m ferclient`. The only place that reads the environment."""

import os
import sys
from pathlib import Path

from ferclient.client import DEFAULT_URL
from ferclient.terminal import commands


def main() -> int:
    """Run one command and return its exit code."""
    is_installed = Path(sys.argv[0]).stem == "ferclient"
    return commands.main(
        sys.argv[1:],
        program="ferclient" if is_installed else "python -m ferclient",
        default_url=os.environ.get("FER_URL") or DEFAULT_URL,
    )


if __name__ == "__main__":
    sys.exit(main())
