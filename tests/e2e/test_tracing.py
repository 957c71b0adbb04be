"""One request is one connected trace through every process, and costs nothing where nobody collects."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import redis
from websockets.sync.client import connect

from tests.support.cluster import Cluster
from tests.support.collector import Collector, Seen
from tests.support.images import astronaut, encoded, no_face_jpeg, portrait_jpeg
from tests.support.triton_server import TritonServer
from tests.support.waiting import until

JPEG = {"content-type": "image/jpeg"}
CALLER, CALLERS_SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = {"traceparent": f"00-{CALLER}-{CALLERS_SPAN}-01"}
TOGETHER = [f"together-{number}" for number in range(4)]


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def cluster(
    collector: Collector, triton_server: TritonServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    settings = {
        "FER_OTLP_ENDPOINT": collector.url,
        "FER_PREDICT_DEADLINE_S": "20",
        "FER_LIVE_DEADLINE_S": "20",
    }
    with Cluster(tmp_path_factory.mktemp("tracing"), triton=triton_server, settings=settings) as cluster:
        yield cluster


def predict(cluster: Cluster, image: bytes, request_id: str, **headers: str) -> httpx.Response:
    named = {**JPEG, "x-request-id": request_id, **headers}
    return httpx.post(f"{cluster.url}/predict", content=image, headers=named, timeout=30)


def of_request(spans: list[Seen], request_id: str) -> list[Seen]:
    traces = {span.trace_id for span in spans if span.attributes.get("fer.request_id") == request_id}
    return [span for span in spans if span.trace_id in traces]


def way(spans: list[Seen]) -> list[tuple[str, str]]:
    """Give service and name from the root on; fails unless the trace is one chain."""
    by_parent = {span.parent_id: span for span in spans}
    assert len(by_parent) == len(spans), spans
    known = {span.span_id for span in spans}
    (root,) = (span for span in spans if span.parent_id not in known)
    chain = [root]
    while (child := by_parent.get(chain[-1].span_id)) is not None:
        chain.append(child)
    assert len(chain) == len(spans), spans
    return [(span.service, span.name) for span in chain]


def test_an_image_is_one_trace_from_the_door_to_the_model(cluster: Cluster, collector: Collector):
    assert predict(cluster, portrait_jpeg(), "one-image").status_code == 200
    spans = collector.wait_for(lambda spans: len(of_request(spans, "one-image")) >= 5)
    trace = of_request(spans, "one-image")
    assert way(trace) == [
        ("fer-gateway", "POST /predict"),
        ("fer-gateway", "frame"),
        ("fer-detector", "detect"),
        ("fer-classifier", "classify"),
        ("fer-classifier", "infer"),
    ]
    by_name = {span.name: span for span in trace}
    assert by_name["POST /predict"].parent_id == ""
    assert by_name["POST /predict"].attributes["fer.status"] == 200
    assert by_name["detect"].attributes["fer.detect_ms"] > 0
    assert by_name["infer"].attributes["fer.faces"] == 1
    noted = {name.removeprefix("fer.") for span in trace for name in span.attributes}
    assert noted == {
        "request_id",
        "status",
        "faces",
        "decode_ms",
        "detect_ms",
        "align_ms",
        "queue_ms",
        "model",
    }


def test_frames_that_share_a_call_to_the_model_are_each_led_to_it(cluster: Cluster, collector: Collector):
    with ThreadPoolExecutor(len(TOGETHER)) as pool, redis.Redis.from_url(cluster.redis.url) as broker:
        cluster.classifier.signal(signal.SIGSTOP)
        asked = [pool.submit(predict, cluster, portrait_jpeg(), request_id) for request_id in TOGETHER]
        until(lambda: broker.xlen("fer:faces") == len(TOGETHER))
        cluster.classifier.signal(signal.SIGCONT)
        assert {answer.result().status_code for answer in asked} == {200}

    def all_are_there(spans: list[Seen]) -> bool:
        traces = [of_request(spans, request_id) for request_id in TOGETHER]
        faces = sum(
            int(span.attributes["fer.faces"]) for trace in traces for span in trace if span.name == "infer"
        )
        names = [{span.name for span in trace} for trace in traces]
        return faces == len(TOGETHER) and all({"POST /predict", "classify"} <= found for found in names)

    spans = collector.wait_for(all_are_there)
    calls = {(span.trace_id, span.span_id): span for span in spans if span.name == "infer"}
    led_to = []
    for request_id in TOGETHER:
        by_name = {span.name: span for span in of_request(spans, request_id)}
        (link,) = by_name["classify"].links or [(by_name["infer"].trace_id, by_name["infer"].span_id)]
        led_to.append(calls[link])
    assert any(call.attributes["fer.faces"] > 1 for call in led_to)


def test_a_callers_trace_goes_on(cluster: Cluster, collector: Collector):
    predict(cluster, no_face_jpeg(), "in-a-trace", **TRACEPARENT)
    spans = collector.wait_for(lambda spans: len(of_request(spans, "in-a-trace")) >= 3)
    trace = of_request(spans, "in-a-trace")
    assert {span.trace_id for span in trace} == {CALLER}
    assert way(trace)[-1] == ("fer-detector", "detect")
    assert next(span for span in trace if span.name == "POST /predict").parent_id == CALLERS_SPAN


def test_a_fault_marks_its_spans(cluster: Cluster, collector: Collector):
    png = bytearray(encoded(astronaut(), "PNG"))
    png[1000:2000] = bytes(1000)  # its header is good, so that only the detector finds out
    assert predict(cluster, bytes(png), "damaged").status_code == 422
    spans = collector.wait_for(lambda spans: len(of_request(spans, "damaged")) >= 3)
    trace = {span.name: span for span in of_request(spans, "damaged")}
    assert trace["detect"].is_failed
    assert trace["frame"].is_failed
    assert trace["POST /predict"].attributes["fer.status"] == 422


def test_each_frame_of_a_stream_is_a_trace_of_its_own_that_points_to_the_callers(
    cluster: Cluster, collector: Collector
):
    with connect(
        f"{cluster.url.replace('http', 'ws', 1)}/stream",
        additional_headers={"x-request-id": "a-stream", **TRACEPARENT},
    ) as stream:
        for _ in range(2):
            stream.send(portrait_jpeg())
            assert json.loads(stream.recv(30))["type"] == "result"
    spans = collector.wait_for(
        lambda spans: all(len(of_request(spans, f"a-stream-{seq}")) >= 4 for seq in (0, 1))
    )
    traces = [of_request(spans, f"a-stream-{seq}") for seq in (0, 1)]
    assert len({CALLER, *(span.trace_id for trace in traces for span in trace)}) == 3
    for trace in traces:
        assert [name for _, name in way(trace)] == ["frame", "detect", "classify", "infer"]
        assert [span.links for span in trace if span.parent_id == ""] == [((CALLER, CALLERS_SPAN),)]


def test_probes_are_not_traced(cluster: Cluster, collector: Collector):
    httpx.get(f"{cluster.url}/livez", headers={"x-request-id": "probe"})
    predict(cluster, no_face_jpeg(), "after-the-probe")
    spans = collector.wait_for(lambda spans: bool(of_request(spans, "after-the-probe")))
    assert of_request(spans, "probe") == []
    assert not any("livez" in span.name or "readyz" in span.name for span in spans)


def test_without_a_collector_the_sdk_is_not_even_imported():
    code = "import sys, services.allinone.wiring; print('opentelemetry.sdk' in sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "False"
