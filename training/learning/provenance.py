"""When, where and from which commit a figure was measured, so that it can be reproduced."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")


def describe_provenance(command: str) -> dict[str, str]:
    """Return the command, today's date (UTC), the machine and the commit."""
    return {
        "command": command,
        "date": datetime.now(tz=UTC).date().isoformat(),
        "machine": f"{_name_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}",
        "git_commit": git_commit(),
    }


def git_commit() -> str:
    """Return the commit that runs, with `-dirty` where the working tree differs from it."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        return subprocess.run(  # noqa: S603 - fixed arguments
            command, capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def list_cpu_features() -> str:
    """Return those of this CPU's flags that matter for INT8 and half precision."""
    flags = cpu_flags()
    wanted = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "avx512_fp16", "avx512_bf16")
    return ", ".join(flag for flag in wanted if flag in flags) or "with none of the flags that matter"


def cpu_flags() -> frozenset[str]:
    """Return the flags that Linux states of this CPU; none elsewhere."""
    return frozenset(_read_cpu_info("flags").split())


def _name_processor() -> str:
    return _read_cpu_info("model name") or platform.processor() or "unknown processor"


def _read_cpu_info(field: str) -> str:
    try:
        lines = CPU_INFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), "")
