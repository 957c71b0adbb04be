"""What the README's first screen says, done as a newcomer does it."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from tests.support.cluster import Service
from tests.support.ports import free_port
from tests.support.readme import COMMANDS, README, output, run
from tests.support.requires import ROOT


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service("allinone", free_port(), {}, tmp_path_factory.mktemp("allinone") / "log")
    service.start()
    try:
        service.wait_until_ready()
        yield service
    finally:
        assert service.stop() == 0
        assert "Traceback" not in service.log()


def test_the_first_command_gives_the_answer_that_stands_below_it(service):
    (shown,) = re.findall(r"```json\n(.*?)```", README, re.DOTALL)
    expected, answer = json.loads(shown), run(COMMANDS[0], service.url)
    assert set(answer.pop("timings_ms")) == set(expected.pop("timings_ms"))
    assert len(answer.pop("request_id")) == len(expected.pop("request_id"))
    (face,), (shown_face,) = answer.pop("faces"), expected.pop("faces")
    assert answer == expected
    assert face["emotion"] == shown_face["emotion"] == "happiness"
    assert face["box"] == shown_face["box"]
    assert face["probabilities"] == pytest.approx(shown_face["probabilities"], abs=0.01)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_curl_of_the_readme_works(service, command):
    assert run(command, service.url)


def test_the_start_is_announced_with_the_address(service):
    lines = map(json.loads, service.log().splitlines())
    assert [line["details"]["url"] for line in lines if line["event"] == "listening"] == [service.url]


def test_every_file_that_the_readme_names_exists():
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / link).exists(), link


def test_every_make_target_of_the_readme_exists():
    listing = output("make", "help")
    for target in re.findall(r"make ([a-z-]+)", README):
        assert f"make {target} " in listing


def test_the_help_of_the_benchmark_is_there():
    done = subprocess.run(
        [sys.executable, "-m", "tests.load", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "--concurrency" in done.stdout


def test_readiness_names_each_dependency(service):
    answer = httpx.get(f"{service.url}/readyz").json()
    assert answer == {
        "status": "ready",
        "checks": {"queue": "ok", "replies": "ok", "detector": "ok", "model": "ok"},
    }
