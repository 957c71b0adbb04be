"""The commands of the README, run as they stand there, against an address of the test's.

Knows no service.
"""

import json
import re
import shlex
import subprocess
from typing import Any

from tests.support.requires import ROOT, program

README = (ROOT / "README.md").read_text()
COMMANDS = re.findall(r"^\$ (curl .*)$", README, re.MULTILINE)


def run(command: str, url: str) -> dict[str, Any]:
    """Run a `curl` of the README, and give the answer."""
    words = [word.replace("http://127.0.0.1:8080", url) for word in shlex.split(command)]
    program("curl")
    answer: dict[str, Any] = json.loads(output(*words, "-sS", "--fail"))
    return answer


def output(*command: str) -> str:
    """Run a command where the README stands."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=30)
    return done.stdout
