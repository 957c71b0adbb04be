"""`.ci/engine.sh`: with a Docker engine, or a hook that starts one, CI skips no test that needs it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.requires import ROOT

WORKING, BROKEN = "exit 0", "exit 1"
RUN = "set -euo pipefail; . .ci/engine.sh; echo required: ${FER_REQUIRE:-nothing}"


def script(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a checkout that holds only what is tried."""
    folder = tmp_path / "clone"
    (folder / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci/engine.sh", folder / ".ci")
    return folder


def run(clone: Path, *, hooks: Path | None = None, require: str = "") -> subprocess.CompletedProcess[str]:
    """Source the script as CI does, on a machine whose `docker` may stand in `bin` beside the checkout."""
    variables = {"FER_CI_HOOKS": str(hooks or ""), "FER_REQUIRE": require}
    return subprocess.run(
        [shutil.which("bash") or "bash", "-c", RUN],
        cwd=clone,
        env={"PATH": f"{clone.parent / 'bin'}"} | {name: text for name, text in variables.items() if text},
        capture_output=True,
        text=True,
        check=False,
    )


def hook(folder: Path, *start: str) -> None:
    """Make a hook that notes its calls."""
    calls = folder / "calls"
    script(
        folder / "docker-engine",
        f'echo "$1" >>{calls}',
        '[ "$1" = start ] || exit 0',
        *start,
    )


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().split()


def test_without_an_engine_and_a_hook_nothing_is_required(clone: Path) -> None:
    done = run(clone)
    assert (done.returncode, done.stdout) == (0, "required: nothing\n"), done.stderr


def test_an_engine_of_the_machine_is_required_beside_what_was(clone: Path) -> None:
    script(clone.parent / "bin/docker", WORKING)
    hook(clone.parent / "tools/ci", "exit 1")
    done = run(clone, require="data")
    assert (done.returncode, done.stdout) == (0, "required: data,docker\n"), done.stderr
    assert not (clone.parent / "tools/ci/calls").exists()


@pytest.mark.parametrize("is_named", [False, True], ids=["beside the checkout", "named"])
def test_an_engine_of_a_hook_is_required_and_stopped_at_the_end(clone: Path, is_named: bool) -> None:
    folder = clone.parent / ("somewhere/else" if is_named else "tools/ci")
    script(clone.parent / "engine/docker", WORKING)
    hook(folder, f"echo 'PATH={clone.parent}/engine:$PATH'")
    script(folder / "standin-images", f"echo images >>{folder / 'calls'}")
    done = run(clone, hooks=folder if is_named else None)
    assert (done.returncode, done.stdout) == (0, "required: docker\n"), done.stderr
    assert calls(folder) == ["start", "images", "stop"]


@pytest.mark.parametrize("start", ["exit 7", "echo true"], ids=["does not start", "does not answer"])
def test_a_hook_whose_engine_fails_ends_the_run(clone: Path, start: str) -> None:
    script(clone.parent / "bin/docker", BROKEN)
    hook(clone.parent / "tools/ci", start)
    done = run(clone)
    assert done.returncode != 0
    assert "required" not in done.stdout
    assert calls(clone.parent / "tools/ci") == ["start", "stop"]


def test_ci_uses_it() -> None:
    assert "\n. .ci/engine.sh\n" in (ROOT / ".ci/run").read_text()
