"""A service whose background job fails, as a process."""

import json
import subprocess
import sys

from tests.support.requires import ROOT

FAILING_SERVICE = """
import asyncio, contextlib, logging
from fercore.service.app import build_app, running
from fercore.service.metrics import Metrics
from fercore.service.process_log import process_log
from fercore.service.run import serve
from fercore.service.settings import ServiceSettings

is_listening = asyncio.Event()

class Watch(logging.Handler):
    def emit(self, record):
        if record.getMessage() == "listening":
            is_listening.set()

async def job():
    logging.getLogger().addHandler(Watch())
    await is_listening.wait()
    raise RuntimeError("broken")

@contextlib.asynccontextmanager
async def lifespan(_):
    async with running(job()):
        yield

app = build_app(
    service="test", title="t", description="d", metrics=Metrics(), checks={}, lifespan=lifespan
)
with process_log("test"):
    serve(app, ServiceSettings(port=0), banner="up on {url}")
"""


def test_a_background_job_that_fails_ends_the_process_with_a_status():
    done = subprocess.run(
        [sys.executable, "-c", FAILING_SERVICE],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert lines[0]["event"] == "listening"
    assert lines[0]["details"]["url"].startswith("http://127.0.0.1:")
    assert "RuntimeError: broken" in lines[1]["traceback"]
    assert done.stdout == ""  # no person reads it
