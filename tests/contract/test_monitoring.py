"""Rules, alerts and routing, by the tools of Prometheus and Alertmanager themselves."""

import re
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from asgi_lifespan import LifespanManager

from fercore.service.metrics import Metrics
from services.allinone.settings import AllInOneSettings
from services.allinone.wiring import create_app
from tests.support.consuming import until
from tests.support.fakes import BrightnessBackend
from tests.support.requires import ROOT, program
from tests.support.rules import RULES, rules

ALERTMANAGER = ROOT / "deploy/alertmanager/alertmanager.yml"
FOREIGN = {
    "up",
    "haproxy_frontend_http_responses_total",
    "haproxy_process_uptime_seconds",
    "haproxy_server_http_responses_total",
    "nv_inference_request_failure",
    "nv_inference_request_success",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
}
"""Metrics that are not ours: Prometheus' own, HAProxy's, Triton's, and of every process."""


def run(tool: str, *arguments: object) -> str:
    """Run one of the tools, and give what it says."""
    command = [program(tool, package="prometheus prometheus-alertmanager"), *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


ALERTS = [rule for rule in rules() if "alert" in rule]


def test_prometheus_takes_its_configuration_and_the_rules(tmp_path: Path):
    text = (ROOT / "deploy/prometheus/prometheus.yml").read_text()
    assert "/etc/prometheus/rules/" in text
    config = tmp_path / "prometheus.yml"
    config.write_text(text.replace("/etc/prometheus/rules/", f"{RULES}/"))
    assert "SUCCESS" in run("promtool", "check", "config", config)


@pytest.mark.parametrize(
    "file", sorted((ROOT / "deploy/prometheus/tests").iterdir()), ids=lambda file: file.stem
)
def test_rules_do_what_their_tests_say(file: Path):
    assert "SUCCESS" in run("promtool", "test", "rules", file)


def test_every_alert_is_tried():
    tried = (ROOT / "deploy/prometheus/tests/alerts.yml").read_text()
    untried = [
        rule["alert"]
        for rule in ALERTS
        if not re.search(rf"alertname: {rule['alert']}\n\s+exp_alerts:\n", tried)
    ]
    assert untried == []


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_every_alert_has_a_runbook_and_a_severity(alert):
    heading = f"### {alert['alert']}\n"
    assert heading in (ROOT / "docs/operations.md").read_text()
    assert alert["annotations"]["runbook"] == f"docs/operations.md#{alert['alert'].lower()}"
    assert alert["labels"]["severity"] in ("page", "ticket")


def test_every_metric_of_a_rule_exists():
    known = FOREIGN | {rule["record"] for rule in rules() if "record" in rule}
    for family in Metrics().registry.collect():
        known |= {family.name, f"{family.name}_total"}
        known |= {f"{family.name}_{part}" for part in ("bucket", "sum", "count")}
    for rule in rules():
        named = set(
            re.findall(
                r"\b(?:fer[_:][a-z0-9_:]+|haproxy_\w+|nv_\w+|process_\w+|up)(?=[{\[ )])", rule["expr"] + " "
            )
        )
        assert named, rule
        assert named <= known, rule


GROWTH = re.compile(r"(?:rate|increase)\((fer_\w+)(?:{([^}]*)})?\[")
MATCHER = re.compile(r'(\w+)(=~|!=|=)"([^"]*)"')


def test_a_matcher_is_read_as_prometheus_reads_it():
    assert fits({"code": "503", "route": "/b"}, 'code=~"5..", route=~"/a|/b", code!="504"')
    assert not fits({"code": "1503"}, 'code=~"5.."')
    assert not fits({"code": "503"}, 'code!="503"')


@pytest.mark.anyio
async def test_what_alerts_see_grow_is_counted_from_the_start():
    """What is first seen at 1 has not grown: the first dead letter of a process would tell nobody."""
    recorded = {rule["record"]: rule["expr"] for rule in rules() if "record" in rule}
    alerts = [rule["expr"] for rule in ALERTS]
    alerts += [expr for name, expr in recorded.items() if any(name in alert for alert in alerts)]
    growing = {found for expr in alerts for found in GROWTH.findall(expr)}
    assert {name for name, _ in growing} >= {"fer_queue_messages_total", "fer_webhook_deliveries_total"}
    settings = AllInOneSettings(webhook_url="https://example.org/", webhook_secret="secret")
    metrics = Metrics()

    def unseen() -> set[tuple[str, str]]:
        samples = [sample for family in metrics.registry.collect() for sample in family.samples]
        seen = {
            (name, matchers)
            for name, matchers in growing
            for sample in samples
            if sample.name == name and fits(sample.labels, matchers)
        }
        return growing - seen

    async with LifespanManager(create_app(settings, backend=BrightnessBackend(), metrics=metrics)):
        with suppress(AssertionError):
            await until(lambda: not unseen(), timeout_s=5)
        assert unseen() == set()


def fits(labels: dict[str, str], matchers: str) -> bool:
    """Tell whether a series is one that a selector selects."""
    for name, sign, value in MATCHER.findall(matchers):
        pattern = value if sign == "=~" else re.escape(value)
        if bool(re.fullmatch(pattern, labels[name])) == (sign == "!="):
            return False
    return True


@pytest.mark.parametrize("severity", ["page", "ticket"])
def test_alerts_are_routed_by_severity(severity: str):
    run("amtool", "check-config", ALERTMANAGER)
    routed = run(
        "amtool", "config", "routes", "test", f"--config.file={ALERTMANAGER}", f"severity={severity}"
    )
    assert routed.strip() == severity
