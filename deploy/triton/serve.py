"""Run tritonserver on the emotion models; end it when it no longer answers, so that a supervisor repairs it.

A killed stub leaves the server "ready" but dead, so health here is one real
inference a model every few seconds; three failures in a row end the server and this process. A model that is
only busy gets on with its count of inferences meanwhile, and that is an answer too.

Settings (environment):
    FER_MODEL_REPOSITORY     folder that holds `emotion_*`
    FER_TRITON_HOST          address that gRPC and metrics bind (127.0.0.1); HTTP is on loopback always
    FER_TRITON_GRPC_PORT     8001
    FER_TRITON_HTTP_PORT     8000
    FER_TRITON_METRICS_PORT  8002
    FER_TRITON_CHECK_S       seconds between checks (2)
    FER_TRITON_HOME, FER_TRITON_VENV  what `setup` made
"""

import contextlib
import ctypes
import json
import logging
import os
import re
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from math import prod
from pathlib import Path
from types import TracebackType

FAILURES_ALLOWED = 2
CHECK_TIMEOUT_S = 5
START_TIMEOUT_S = 120
STOP_TIMEOUT_S = 7
SHM_PREFIX = "fer_triton_"

LOG = logging.getLogger("triton")

ITEM_BYTES = {"BOOL": 1, "UINT8": 1, "INT8": 1, "FP16": 2, "INT32": 4, "FP32": 4, "INT64": 8, "FP64": 8}


class JsonLines(logging.Formatter):
    """The form of `fercore.service.logging`, which is not installed here."""

    def format(self, record: logging.LogRecord) -> str:  # type: ignore[explicit-override]  # Python 3.12 has it
        """Return one line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "service": "triton",
            "logger": record.name,
            "event": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def main() -> int:
    """Run the server and its checks; return the exit status."""
    _log_as_json()
    repository = Path(os.environ["FER_MODEL_REPOSITORY"]).resolve()
    if " " in str(repository):  # tritonserver crashes on it
        LOG.error("the model repository's path must not contain a space: %s", repository)
        return 1
    try:
        # glob finds nothing in a folder that it may not read, and does not say so
        next(repository.iterdir(), None)
    except OSError as err:
        LOG.error("the model repository cannot be read: %s: %s", repository, err.strerror)
        return 1
    models = sorted(path.parent.name for path in repository.glob("emotion_*/config.pbtxt"))
    http_port = int(_number("FER_TRITON_HTTP_PORT", "8000"))
    check_s = _number("FER_TRITON_CHECK_S", "2")
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    shm_prefix = f"{SHM_PREFIX}{os.getpid()}_"
    _sweep()
    server = _start(repository, models, http_port, shm_prefix)
    try:
        check = SelfCheck(f"http://127.0.0.1:{http_port}", models)
        return _watch(server, check, check_s)
    except SystemExit:
        return 0
    finally:
        _stop(server)


def _log_as_json() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    sys.excepthook = _log_uncaught


def _log_uncaught(kind: type[BaseException], fault: BaseException, trace: TracebackType | None) -> None:
    LOG.critical("the launcher ends by a fault", exc_info=(kind, fault, trace))


def _number(variable: str, otherwise: str) -> float:
    value = os.environ.get(variable, otherwise)
    try:
        return float(value)
    except ValueError:
        LOG.error("wrong setting: %s=%r: must be a number", variable, value)
        sys.exit(1)


def _leave(signum: int, frame: object) -> None:
    del signum, frame
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(0)


def _start(repository: Path, models: list[str], http_port: int, shm_prefix: str) -> subprocess.Popen[bytes]:
    host = os.environ.get("FER_TRITON_HOST", "127.0.0.1")
    home, venv = Path(os.environ["FER_TRITON_HOME"]), Path(os.environ["FER_TRITON_VENV"])
    key = secrets.token_hex(16)
    restricted = "model-repository,shared-memory,trace,logging"
    command = [
        str(home / "tritonserver"),
        f"--model-repository={repository}",
        "--model-control-mode=explicit",
        *(f"--load-model={model}" for model in models),
        f"--backend-directory={home / 'backends'}",
        f"--backend-config=python,shm-region-prefix-name={shm_prefix}",
        "--exit-on-error=false",
        "--strict-readiness=false",
        "--exit-timeout-secs=5",
        "--disable-auto-complete-config",  # config.pbtxt says all; guessing costs a stub's start
        "--http-address=127.0.0.1",  # for the checks alone
        f"--http-port={http_port}",
        f"--grpc-address={host}",
        f"--grpc-port={os.environ.get('FER_TRITON_GRPC_PORT', '8001')}",
        f"--metrics-address={host}",
        f"--metrics-port={os.environ.get('FER_TRITON_METRICS_PORT', '8002')}",
        # nobody may load, unload or map memory from outside: the key is known to no one
        f"--http-restricted-api={restricted}:admin={key}",
        f"--grpc-restricted-protocol={restricted}:admin={key}",
        "--allow-gpu-metrics=false",
        "--pinned-memory-pool-byte-size=0",
        "--log-info=false",
        "--log-warning=false",
    ]
    environment = os.environ | {
        # the stub takes its packages from the first python3 on PATH and its libpython from the loader
        "PATH": f"{venv / 'bin'}:{os.environ['PATH']}",
        "LD_LIBRARY_PATH": str(home / "lib"),
        "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime's wheels send usage data to their maker otherwise
    }
    return subprocess.Popen(command, env=environment, preexec_fn=_die_with_parent)  # noqa: PLW1509 - one thread


def _die_with_parent() -> None:
    """Have the kernel end the server when this process is killed and can end nothing any more."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def _watch(server: subprocess.Popen[bytes], check: "SelfCheck", interval_s: float) -> int:
    """Check until the server ends, or no longer answers; return the exit status."""
    started = time.monotonic()
    while True:
        try:
            code = server.wait(interval_s if check.is_well else min(interval_s, 0.5))
        except subprocess.TimeoutExpired:
            pass
        else:
            LOG.error("the server ended by itself with status %d", code)
            return 1
        failing = check.run()
        if failing:
            LOG.error("no answer from %s, %d times in a row", failing, check.failures)
        if check.failures > FAILURES_ALLOWED:
            server.kill()  # it has nothing left to finish
            return 1
        if check.models and not check.answered and time.monotonic() - started > START_TIMEOUT_S:
            LOG.error("no model answered within %d s of the start", START_TIMEOUT_S)
            return 1


def _stop(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is None:
        server.terminate()
        try:
            server.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
    _sweep()


def _sweep() -> None:
    """End what is left of this launcher's server, and of earlier ones that were killed with their launcher.

    A stub whose server was killed may wait for it for ever. Its command line names its shared memory, and
    that the launcher; the kernel ends only the server itself.
    """
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # gone by itself, or another user's
            program, _, arguments = process.read_bytes().partition(b"\0")
            is_triton = program.endswith((b"/tritonserver", b"/triton_python_backend_stub"))
            if is_triton and _is_left_over(arguments.decode(errors="replace")):
                os.kill(int(process.parent.name), signal.SIGKILL)
    for region in Path("/dev/shm").glob(f"{SHM_PREFIX}*"):
        if _is_left_over(region.name):
            with contextlib.suppress(OSError):
                region.unlink()


def _is_left_over(text: str) -> bool:
    found = re.search(rf"{SHM_PREFIX}(\d+)_", text)
    return found is not None and (int(found[1]) == os.getpid() or not Path("/proc", found[1]).exists())


class SelfCheck:
    """One inference a model. A model that never answered is broken, not dead: it ends nothing."""

    def __init__(self, url: str, models: list[str]) -> None:
        self._url = url
        self.models = models
        self.answered: set[str] = set()
        self.failures = 0
        self._counts: dict[str, int] = {}

    @property
    def is_well(self) -> bool:
        """Whether there is no reason to look again soon."""
        return bool(self.answered) and self.failures == 0

    def run(self) -> str:
        """Ask every model once; return the name of one that answered before and does not now."""
        failing = ""
        for model in self.models:
            if self._answers(model) or self._gets_on(model):
                if model not in self.answered:
                    LOG.info("%s answers", model)
                self.answered.add(model)
            elif model in self.answered:
                failing = model
        self.failures = self.failures + 1 if failing else 0
        return failing

    def _answers(self, model: str) -> bool:
        """Return whether the model gives non-empty outputs for a batch of one input of zeros."""
        base = f"{self._url}/v2/models/{model}"
        try:
            with urllib.request.urlopen(base, timeout=CHECK_TIMEOUT_S) as answer:
                metadata = json.load(answer)
            inputs, raw = [], b""
            for entry in metadata["inputs"]:
                shape = [max(length, 1) for length in entry["shape"]]
                size = prod(shape) * ITEM_BYTES[entry["datatype"]]
                inputs.append(
                    {
                        "name": entry["name"],
                        "datatype": entry["datatype"],
                        "shape": shape,
                        "parameters": {"binary_data_size": size},
                    }
                )
                raw += bytes(size)
            header = json.dumps({"inputs": inputs, "outputs": [{"name": metadata["outputs"][0]["name"]}]})
            request = urllib.request.Request(
                f"{base}/infer",
                data=header.encode() + raw,
                headers={"Inference-Header-Content-Length": str(len(header))},
            )
            with urllib.request.urlopen(request, timeout=CHECK_TIMEOUT_S) as answer:
                return all(output["data"] for output in json.load(answer)["outputs"])
        except (OSError, ValueError, KeyError):  # down, no JSON, not of the protocol's form
            return False

    def _gets_on(self, model: str) -> bool:
        """Return whether the model has answered any request since this was last asked."""
        try:
            with urllib.request.urlopen(f"{self._url}/v2/models/{model}/stats", timeout=1) as answer:
                count = json.load(answer)["model_stats"][0]["inference_stats"]["success"]["count"]
        except (OSError, ValueError, KeyError, IndexError):
            return False
        before = self._counts.get(model, count)
        self._counts[model] = count
        return bool(count > before)


if __name__ == "__main__":
    sys.exit(main())
