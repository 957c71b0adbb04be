"""When, where and from which commit a figure was measured, so that anybody can measure it again.

Knows no figure.
"""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

from training.run_folder import git_commit

CPU_INFO = Path("/proc/cpuinfo")


def circumstances(command: str) -> dict[str, str]:
    """Give the command, today's date (UTC), the machine and the commit."""
    return {
        "command": command,
        "date": datetime.now(tz=UTC).date().isoformat(),
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}",
        "git_commit": git_commit(),
    }


def _processor() -> str:
    try:
        lines = CPU_INFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown processor")
