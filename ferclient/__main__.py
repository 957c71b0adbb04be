"""`python -m ferclient`. The only place that reads the environment."""

import os
import sys

from ferclient.client import DEFAULT_URL
from ferclient.terminal.commands import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], default_url=os.environ.get("FER_URL") or DEFAULT_URL))
