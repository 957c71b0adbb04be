"""Figures of a live cluster in a live Prometheus: services tell what they should, panels show something."""

import importlib.util
import json
import re
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from tests.support.cluster import Cluster
from tests.support.images import portrait_jpeg
from tests.support.ports import free_port, free_ports
from tests.support.prometheus_server import Prometheus
from tests.support.redis_server import RedisServer, find_redis_server
from tests.support.rules import is_of_haproxy, rules, selectors
from tests.support.triton_server import TritonServer

ROOT = Path(__file__).parent.parent.parent
PATIENCE_S = 90
HAPPY = {"name": "happy", "emotions": ["happiness"], "window_s": 1, "cooldown_s": 1, "min_faces": 1}

TOLD = {
    "gateway": [
        'fer_requests_total{route="/predict", code="200"}',
        'fer_incomplete_answers_total{route="/predict"}',
        "fer_request_duration_seconds_count",
        'fer_stage_duration_seconds_count{stage="queue"}',
        'fer_stage_duration_seconds_count{stage="total"}',
        "fer_inflight",
        "fer_streams",
        'fer_stream_frames_total{outcome="result"}',
        'fer_stream_frames_total{outcome="failed"}',
        'fer_redis_up{redis="queue"}',
        'fer_redis_memory_bytes{redis="queue"}',
        'fer_redis_memory_limit_bytes{redis="queue"}',
        'fer_redis_clients{redis="queue"}',
        'fer_redis_up{redis="state"}',
    ],
    "detector": [
        'fer_stage_duration_seconds_count{stage="decode"}',
        'fer_stage_duration_seconds_count{stage="detect"}',
        'fer_stage_duration_seconds_count{stage="align"}',
        'fer_queue_depth{stream="fer:frames"}',
        'fer_queue_oldest_seconds{stream="fer:frames"}',
        'fer_queue_messages_total{stream="fer:frames", outcome="done"}',
        "fer_faces_per_frame_count",
    ],
    "classifier": [
        'fer_stage_duration_seconds_count{stage="infer"}',
        'fer_queue_depth{stream="fer:faces"}',
        'fer_queue_messages_total{stream="fer:faces", outcome="done"}',
        "fer_batch_size_count",
        'fer_predictions_total{emotion="happiness"}',
        'fer_uncertain_faces_total{reason="low_score"}',
        "fer_model_info",
    ],
    "triton": [
        "nv_inference_request_success",
        "nv_inference_request_failure",
        "nv_inference_queue_duration_us",
    ],
}
"""Which service tells which figures under load; HAProxy runs in compose only, and is asked there."""


@pytest.fixture(scope="module")
def prometheus(triton_server: TritonServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Watch a cluster that is kept busy by images and by a live stream."""
    folder = tmp_path_factory.mktemp("telemetry")
    (deaf,) = free_ports(1)
    binary = find_redis_server()
    assert binary is not None, "there is no redis-server"
    state = RedisServer(free_port(), binary, appendonly=True)
    settings = {
        "FER_STATE_URL": state.url,
        "FER_ALERTS": json.dumps([HAPPY]),
        "FER_WEBHOOK_URL": f"http://127.0.0.1:{deaf}/",  # nobody listens: deliveries fail
        "FER_WEBHOOK_ALLOW_PRIVATE": "true",
        "FER_WEBHOOK_SECRET": "secret",
        "FER_PREDICT_DEADLINE_S": "20",
        "FER_LIVE_DEADLINE_S": "20",
    }
    is_over = threading.Event()
    with closing(state), Cluster(folder, triton=triton_server, settings=settings) as cluster:
        state.start()
        loads = [
            threading.Thread(target=load, args=(cluster.url, is_over))
            for load in (post_images, stream_frames)
        ]
        targets = {
            job: [service.url.removeprefix("http://")]
            for job, service in (
                ("gateway", cluster.gateway),
                ("detector", cluster.detectors[0]),
                ("classifier", cluster.classifier),
            )
        }
        targets["triton"] = [f"127.0.0.1:{triton_server.metrics_port}"]
        with Prometheus(folder, targets) as prometheus:
            for load in loads:
                load.start()
            yield prometheus
            is_over.set()
            for load in loads:
                load.join()


def post_images(url: str, is_over: threading.Event) -> None:
    with httpx.Client(base_url=url, timeout=30) as client:
        while not is_over.wait(0.05):
            client.post("/predict", content=portrait_jpeg(), headers={"content-type": "image/jpeg"})


def stream_frames(url: str, is_over: threading.Event) -> None:
    with connect(f"{url.replace('http', 'ws', 1)}/stream") as stream:
        stream.send(json.dumps({"type": "start", "record": True}))
        while not is_over.wait(0.1):
            stream.send(portrait_jpeg())
            while json.loads(stream.recv())["type"] != "result":
                pass


def test_every_service_tells_its_figures(prometheus: Prometheus):
    wanted = {
        f"{job}: {metric}": with_label(metric, "job", job)
        for job, metrics in TOLD.items()
        for metric in metrics
    }
    assert prometheus.wait_for(wanted, PATIENCE_S) == []


def with_label(metric: str, name: str, value: str) -> str:
    head, _, labels = metric.rstrip("}").partition("{")
    return f'{head}{{{name}="{value}"{", " if labels else ""}{labels}}}'


def panels() -> dict[str, tuple[str, str]]:
    """Give the queries of all panels as Grafana would ask them, and how it would name their series."""
    queries = {}
    for file in sorted((ROOT / "deploy/grafana/dashboards").glob("*.json")):
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel["targets"]:
                text = target["expr"].replace("$__rate_interval", "15s")
                name = f"{file.stem}: {panel['title']} {target['refId']}"
                queries[name] = text, target["legendFormat"]
    return queries


def test_every_panel_shows_something_under_load_and_can_name_it(prometheus: Prometheus):
    assert len(panels()) > 30
    queries = {name: query for name, (query, _) in panels().items()}
    assert prometheus.wait_for(queries, PATIENCE_S) == []
    for name, (query, legend) in panels().items():
        for series in prometheus.ask(query):
            assert set(re.findall(r"{{(\w+)}}", legend)) <= set(series["metric"]), name


def test_a_choice_of_values_is_selected_one_by_one():
    assert selectors('sum(rate(a{b=~"c|d", e!="f"}[1m])) / g{h="i"}') == {
        'a{b="c", e!="f"}',
        'a{b="c", e="f"}',
        'a{b="d", e!="f"}',
        'a{b="d", e="f"}',
        'g{h="i"}',
    }


def test_every_label_of_a_rule_or_a_panel_selects_something_under_load(prometheus: Prometheus):
    """A label, or a value of one, that nobody gives would be an alert that never comes."""
    expressions = [rule["expr"] for rule in rules()] + [query for query, _ in panels().values()]
    wanted = {text for text in set().union(*map(selectors, expressions)) if not is_of_haproxy(text)}
    assert len(wanted) > 10
    assert prometheus.wait_for({text: text for text in wanted}, PATIENCE_S) == []


def test_committed_dashboards_are_what_the_code_builds():
    spec = importlib.util.spec_from_file_location("build", ROOT / "deploy/grafana/build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    built = module.build()
    assert {file: file.read_text() for file in built} == built, "run python deploy/grafana/build.py"
    assert set(module.FOLDER.iterdir()) == set(built)
