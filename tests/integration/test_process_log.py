"""Whatever a process writes, and however it ends, its log has lines of one form; each test starts one."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.log_lines import LogLine, log_lines

ROOT = Path(__file__).parent.parent.parent
SECRET = "hunter2"

START = """
import asyncio, gc, logging, os, sys, threading, warnings
from fercore.service.process_log import log_loop_fault, process_log, set_level
with process_log("gateway"):
"""


def ended(code: str) -> subprocess.CompletedProcess[str]:
    """Run a block inside `process_log`."""
    block = "\n".join(f"    {line}" for line in code.strip().splitlines())
    return subprocess.run(
        [sys.executable, "-c", f"{START}{block}\n"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def only_line(code: str, *, status: int = 0) -> LogLine:
    done = ended(code)
    assert (done.returncode, done.stdout) == (status, "")
    (logged,) = log_lines(done.stderr)
    return logged


def test_words_of_an_exit_are_one_line_and_status_1():
    logged = only_line("sys.exit('wrong setting: \"FER_PORT\"')", status=1)
    assert (logged.level, logged.event) == ("CRITICAL", "the service cannot start")
    assert logged.details == {"reason": 'wrong setting: "FER_PORT"'}
    assert logged.traceback == ""


def test_an_exit_without_words_keeps_its_status():
    done = ended("sys.exit(3)")
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")


@pytest.mark.parametrize("code", ["1 / 0", "import a_library_that_is_not_there"])
def test_a_fault_that_nobody_caught_is_one_line(code):
    logged = only_line(code, status=1)
    assert (logged.level, logged.event) == ("CRITICAL", "the process ends by a fault")
    assert "Traceback" in logged.traceback


def test_so_is_one_of_a_thread():
    logged = only_line("thread = threading.Thread(target=lambda: 1 / 0); thread.start(); thread.join()")
    assert (logged.level, logged.event) == ("ERROR", "a thread ended by a fault")
    assert "ZeroDivisionError" in logged.traceback


def test_so_is_one_that_cannot_be_raised():
    logged = only_line(
        """
class Bad:
    def __del__(self):
        1 / 0
Bad()
"""
    )
    assert (logged.level, logged.event) == ("ERROR", "a fault that could not be raised")
    assert "ZeroDivisionError" in logged.traceback


def test_so_is_a_task_whose_fault_nobody_awaits_and_its_data_is_not_told():
    logged = only_line(
        f"""
async def fail(data):
    raise ValueError
async def main():
    asyncio.get_running_loop().set_exception_handler(log_loop_fault)
    task = asyncio.create_task(fail("{SECRET}"))
    await asyncio.sleep(0)
    del task
    gc.collect()
asyncio.run(main())
"""
    )
    assert (logged.level, logged.event) == ("ERROR", "a fault that nobody awaited")
    assert logged.details == {"reason": "Task exception was never retrieved"}
    assert "ValueError" in logged.traceback
    assert SECRET not in logged.model_dump_json()


def test_a_callback_that_fails_does_not_tell_what_it_was_called_with():
    logged = only_line(
        f"""
async def main():
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(log_loop_fault)
    loop.call_soon(int, "{SECRET}", "{SECRET}")
    await asyncio.sleep(0.01)
asyncio.run(main())
"""
    )
    assert logged.details == {"reason": "Exception in callback int"}
    assert SECRET not in logged.model_dump_json()


def test_a_warning_is_a_line():
    logged = only_line("warnings.warn('an old library')")
    assert (logged.level, logged.logger) == ("WARNING", "py.warnings")
    assert "UserWarning: an old library" in logged.event


@pytest.mark.parametrize(
    "code",
    [
        "os.write(2, b'Corrupt JPEG data\\n')",
        "os.write(1, b'Corrupt JPEG data\\n')",
        "print('Corrupt JPEG data', file=sys.stderr)",
        "print('Corrupt JPEG data')",
        "os.write(2, b'Corrupt JPEG data')",
    ],
)
def test_what_is_printed_is_a_line(code):
    logged = only_line(code)
    assert (logged.level, logged.logger, logged.event) == ("WARNING", "prints", "Corrupt JPEG data")


def test_the_search_for_the_end_of_a_whole_jpeg_leaves_no_line():
    done = ended(
        """
from fercore.vision.decode import decode
from tests.support.jpegs import without_end
from tests.support.images import portrait_jpeg
assert decode(without_end(portrait_jpeg())).shape == (512, 512, 3)
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_is_printed_holds_nobody_up_not_even_a_library_that_lets_no_other_thread_run():
    done = ended(
        """
import ctypes
data = bytes(range(256)) * 4000
ctypes.PyDLL(None).write(2, data, len(data))
"""
    )
    assert done.returncode == 0
    lines = log_lines(done.stderr)
    assert lines
    assert max(len(logged.event) for logged in lines) <= 4096


def test_libraries_say_warnings_only_whatever_the_level():
    done = ended(
        f"""
set_level("DEBUG")
libraries = "httpx httpcore redis python_multipart urllib3 PIL tritonclient grpc asyncio uvicorn.error"
for name in ["", *libraries.split()]:
    logging.getLogger(name).debug("{SECRET}")
    logging.getLogger(name).info("{SECRET}")
logging.getLogger("fercore.x").debug("ours")
logging.getLogger("services.x").debug("ours")
set_level("ERROR")
logging.getLogger("redis").warning("{SECRET}")
logging.getLogger("services.x").warning("ours, later")
"""
    )
    assert [logged.event for logged in log_lines(done.stderr)] == ["ours", "ours"]


def test_a_call_with_wrong_arguments_prints_none_of_them():
    done = ended(f"logging.getLogger('services').warning('%d', '{SECRET}')")
    assert SECRET not in done.stderr
    log_lines(done.stderr)


def test_at_a_terminal_a_person_reads_what_is_printed():
    person, terminal = pty.openpty()
    with os.fdopen(person, "rb"):
        subprocess.run(
            [sys.executable, "-c", f"{START}    print('welcome')\n"],
            cwd=ROOT,
            stdout=terminal,
            check=True,
            timeout=60,
        )
        os.close(terminal)
        assert os.read(person, 100).strip() == b"welcome"
