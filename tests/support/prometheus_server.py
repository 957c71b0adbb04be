"""A real Prometheus for tests, that scrapes given addresses every second under the cluster's own rules."""

import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import yaml

from tests.support.ports import free_ports
from tests.support.requires import ROOT, program

DEPLOYED = ROOT / "deploy/prometheus"


class Prometheus:
    """Used as a context manager.

    Args:
        folder: for its data and its log.
        targets: host:port by job; jobs that the deployed configuration has and this lacks are left out.
    """

    def __init__(self, folder: Path, targets: Mapping[str, list[str]]) -> None:
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        self._folder = folder
        config = yaml.safe_load((DEPLOYED / "prometheus.yml").read_text())
        jobs = [
            {"job_name": job["job_name"], "static_configs": [{"targets": targets[job["job_name"]]}]}
            for job in config["scrape_configs"]
            if job["job_name"] in targets
        ]
        assert len(jobs) == len(targets), "the deployed configuration lacks a job"
        seconds = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        file = folder / "prometheus.yml"
        rules = [str(DEPLOYED / "rules" / "*.yml")]
        file.write_text(yaml.safe_dump({"global": seconds, "rule_files": rules, "scrape_configs": jobs}))
        self._command = [
            program("prometheus"),
            f"--config.file={file}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]

    def __enter__(self) -> Self:
        with (self._folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(20)

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """Give the samples of an instant query that are numbers; none while it has not started."""
        try:
            answer = httpx.get(f"{self.url}/api/v1/query", params={"query": expression}, timeout=10)
        except httpx.TransportError:
            return []
        if answer.status_code == 503:
            return []
        assert answer.status_code == 200, f"{expression}: {answer.text}"
        return [sample for sample in answer.json()["data"]["result"] if sample["value"][1] != "NaN"]

    def wait_for(self, expressions: Mapping[str, str], timeout_s: float) -> list[str]:
        """Ask until every query has an answer; gives the names of those that never had one."""
        deadline = time.monotonic() + timeout_s
        unanswered = dict(expressions)
        while unanswered and time.monotonic() < deadline:
            unanswered = {name: text for name, text in unanswered.items() if not self.ask(text)}
            time.sleep(0.5)
        return list(unanswered)
