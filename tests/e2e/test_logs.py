"""The logs of the real processes at DEBUG, after good and bad requests and faults of all kinds."""

import base64
import json
import re
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
import pytest
import redis
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from tests.support.bad_inputs import bad_inputs, multipart
from tests.support.cluster import Cluster
from tests.support.images import portrait_jpeg
from tests.support.log_lines import LogLine, log_lines
from tests.support.ports import free_port
from tests.support.triton_server import TritonServer
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(600)

JPEG = {"Content-Type": "image/jpeg"}
PATIENCE_S = 120
HAPPY = {"name": "happy", "emotions": ["happiness"], "window_s": 1, "cooldown_s": 1, "min_faces": 1}
TOGETHER = [f"together-{number}" for number in range(8)]
SECRETS = {
    "password": "redis-pa55word",
    "hook": "h00k-in-the-path",
    "webhook secret": "webhook-s3cret-of-32-characters-x",
    "bearer": "bearer-t0ken",
    "api key": "api-k3y-in-the-url",
    "cookie": "c00kie-of-a-visitor",
    "file name": "my-holiday-f1le",
    "label": "l4bel-of-a-session",
    "body": "b0dy-of-a-poison-message",
    "garbage": "g4rbage-that-is-no-http",
}
IMAGE = portrait_jpeg()


@dataclass(frozen=True)
class Logs:
    """What the processes wrote, and what must not be in it."""

    texts: dict[str, str]
    secrets: dict[str, str]

    def lines(self, service: str) -> list[LogLine]:
        return log_lines(self.texts[service])


@pytest.fixture(scope="module")
def logs(triton_server: TritonServer, tmp_path_factory: pytest.TempPathFactory) -> Logs:
    folder = tmp_path_factory.mktemp("logs")
    secrets = folder / "secrets"
    secrets.mkdir()
    settings = {
        "FER_LOG_LEVEL": "DEBUG",
        "FER_PREDICT_DEADLINE_S": "60",
        "FER_LIVE_DEADLINE_S": "60",
        "FER_INFER_TIMEOUT_S": "30",
        "FER_SECRETS_DIR": str(secrets),
        "FER_OTLP_ENDPOINT": "http://127.0.0.1:1",
        "FER_ALERTS": json.dumps([HAPPY]),
        "FER_WEBHOOK_URL": f"http://127.0.0.1:{free_port()}/{SECRETS['hook']}",
        "FER_WEBHOOK_SECRET": SECRETS["webhook secret"],
        "FER_WEBHOOK_ALLOW_PRIVATE": "true",
    }
    cluster = Cluster(folder, triton=triton_server, settings=settings)
    url = f"redis://:{SECRETS['password']}@127.0.0.1:{cluster.redis.port}"
    (secrets / "fer_redis_url").write_text(f"{url}/0")
    (secrets / "fer_state_url").write_text(f"{url}/1")
    try:
        cluster.start()
        protect(cluster)
        cluster.wait_until_ready(PATIENCE_S)
        session_id = send_all(cluster)
        hurt_all(cluster)
    finally:
        cluster.stop()
    texts = {service.name: service.log() for service in cluster.services}
    return Logs(texts, SECRETS | {"session id": session_id})


def protect(cluster: Cluster) -> None:
    with redis.Redis.from_url(cluster.redis.url) as broker:
        broker.config_set("requirepass", SECRETS["password"])


def broker_of(cluster: Cluster) -> redis.Redis:
    return redis.Redis.from_url(cluster.redis.url, password=SECRETS["password"])


def send_all(cluster: Cluster) -> str:
    """Send good and bad requests; gives the id of a recorded session."""
    headers = {"Authorization": f"Bearer {SECRETS['bearer']}", "Cookie": f"visit={SECRETS['cookie']}"}
    with httpx.Client(base_url=cluster.url, headers=headers, timeout=90) as client:
        assert post(client, "plain").status_code == 200
        assert post(client, "keyed", f"?api_key={SECRETS['api key']}").status_code == 422
        damaged = IMAGE[:20_000] + bytes(100) + IMAGE[20_100:]
        assert post(client, "damaged", content=damaged).status_code in (200, 422)
        text = base64.b64encode(IMAGE).decode()
        client.post("/predict", json={"image": text}, headers={"X-Request-ID": "base64"}).raise_for_status()
        client.post("/predict", json={"image": text, "more": text}, headers={"X-Request-ID": "too-much"})
        body = multipart([("file", IMAGE), ("file", b"nonsense"), ("file", IMAGE)])
        form = {"Content-Type": "multipart/form-data; boundary=b0undary", "X-Request-ID": "several"}
        assert len(client.post("/predict", content=body, headers=form).json()["results"]) == 3
        client.post("/predict", files={"file": (SECRETS["file name"], IMAGE)}).raise_for_status()
        for number, bad in enumerate(list(bad_inputs())[::9]):
            wrong = bad.headers | {"X-Request-ID": f"bad-{number}"}
            client.post(f"/predict?{bad.query}", content=bad.content, headers=wrong)
        for service, path in ((cluster.detectors[0], "/detect"), (cluster.classifier, "/classify")):
            client.post(f"{service.url}{path}", content=IMAGE, headers=JPEG | {"X-Request-ID": "direct"})
            client.post(f"{service.url}{path}", content=b"none", headers=JPEG | {"X-Request-ID": "direct"})
        session_id = stream(cluster.url)
        client.get(f"/sessions/{session_id}/trend").raise_for_status()
        assert client.get(f"/sessions/{SECRETS['api key']}/trend").status_code in (404, 422)
        send_together(cluster, client)
    address = urlsplit(cluster.url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(f"{SECRETS['garbage']}\r\n\r\n".encode())
        connection.settimeout(5)
        connection.recv(100)
    return session_id


def post(client: httpx.Client, request_id: str, query: str = "", content: bytes = IMAGE) -> httpx.Response:
    headers = JPEG | {"X-Request-ID": request_id}
    return client.post(f"/predict{query}", content=content, headers=headers)


def send_together(cluster: Cluster, client: httpx.Client) -> None:
    """Let several frames wait for the classifier, so that they share a call."""
    with ThreadPoolExecutor(len(TOGETHER)) as pool, broker_of(cluster) as broker:
        cluster.classifier.signal(signal.SIGSTOP)
        asked = [pool.submit(post, client, request_id) for request_id in TOGETHER]
        until(lambda: broker.xlen("fer:faces") == len(TOGETHER))
        cluster.classifier.signal(signal.SIGCONT)
        for request_id, answer in zip(TOGETHER, asked, strict=True):
            # a classifier that stood still for longer than its broker waits may have lost what it was handed
            if answer.result().status_code == 504:
                assert post(client, request_id).status_code == 200


def stream(url: str) -> str:
    address = url.replace("http", "ws") + "/stream"
    with suppress(InvalidStatus):
        connect(address, origin=Origin("https://elsewhere.example")).close()
    with connect(address, additional_headers={"X-Request-ID": "live"}) as socket:
        socket.send(json.dumps({"type": "start", "record": True, "label": SECRETS["label"]}))
        session_id = str(json.loads(socket.recv())["session_id"])
        seen = set()
        give_up = time.monotonic() + PATIENCE_S
        while "alert" not in seen and time.monotonic() < give_up:
            socket.send(IMAGE)
            seen.add(json.loads(socket.recv())["type"])
        socket.send(b"no picture")
        socket.send(json.dumps({"type": "stop"}))
        while json.loads(socket.recv())["type"] != "stats":
            pass
    assert "alert" in seen
    return session_id


def hurt_all(cluster: Cluster) -> None:
    """Poison the queue, and let parts be away in mid-request."""
    with broker_of(cluster) as broker, httpx.Client(base_url=cluster.url, timeout=90) as client:
        envelope = {"v": "1", "request_id": "poison/3", "reply_to": "nobody", "trace": "", "sent_ms": 0}
        poison = envelope | {"deadline_ms": time.time() * 1000 + 60_000, "body": SECRETS["body"]}
        broker.xadd("fer:frames", poison)
        until(lambda: broker.xlen("fer:dead") == 1)
        with ThreadPoolExecutor(2) as pool:
            cluster.detectors[0].signal(signal.SIGSTOP)
            asked = pool.submit(post, client, "lost")
            until(lambda: broker.xlen("fer:frames") == 1)
            cluster.redis.stop()
            assert asked.result().status_code == 503
            cluster.detectors[0].signal(signal.SIGCONT)
        assert post(client, "away").status_code == 503
        cluster.redis.start()
        protect(cluster)
        cluster.wait_until_ready(PATIENCE_S)
        triton = cluster.triton
        assert triton.process is not None
        cluster.triton.stop()
        with suppress(AssertionError):
            post(client, "no-triton")
        cluster.triton.start()
        cluster.wait_until_ready(PATIENCE_S)
        cluster.detectors[0].kill()


SERVICES = ("gateway", "detector", "classifier")


@pytest.mark.parametrize("service", SERVICES)
def test_every_line_is_of_the_one_form(logs: Logs, service: str) -> None:
    assert {line.service for line in logs.lines(service)} == {service}


@pytest.mark.parametrize("service", SERVICES)
def test_no_secret_is_told(logs: Logs, service: str) -> None:
    text = logs.texts[service]
    assert [name for name, secret in logs.secrets.items() if secret in text] == []
    assert base64.b64encode(f":{SECRETS['password']}".encode()).decode() not in text


@pytest.mark.parametrize("service", SERVICES)
def test_no_pixel_is_told_as_bytes_or_base64(logs: Logs, service: str) -> None:
    text = logs.texts[service]
    assert re.findall(r"[A-Za-z0-9+/]{72,}", text) == []
    assert re.findall(r"(?:\\\\x[0-9a-f]{2}.{0,3}){3,}", text) == []


@pytest.mark.parametrize("service", SERVICES)
def test_what_concerns_a_request_carries_its_id(logs: Logs, service: str) -> None:
    of_requests = {"request", "a request failed", "a frame", "a frame was refused", "faces", "live frame"}
    of_requests |= {"a stream ended", "an alert fired", "a dead message", "a detector failed"}
    assert [line for line in logs.lines(service) if line.event in of_requests and not line.concerns] == []


@pytest.mark.parametrize("request_id", ["plain", "base64", "several-0", "several-2", *TOGETHER])
@pytest.mark.parametrize("service", SERVICES)
def test_a_request_is_found_in_every_service_by_the_id_that_its_caller_knows(
    logs: Logs, service: str, request_id: str
) -> None:
    asked = "several" if service == "gateway" and request_id.startswith("several") else request_id
    assert [line for line in logs.lines(service) if asked in line.concerns]


def test_faces_that_share_a_call_share_a_line(logs: Logs) -> None:
    together = max((line.request_ids for line in logs.lines("classifier")), key=len)
    assert len(together) > 1
    assert set(together) <= set(TOGETHER)


@pytest.mark.parametrize(
    ("service", "event", "request_id"),
    [
        ("detector", "a dead message", "poison"),
        ("gateway", "the queue was lost", "lost"),
        ("gateway", "a request failed", "away"),
        ("gateway", "a stream ended", "live"),
    ],
)
def test_faults_are_told_with_their_requests(logs: Logs, service: str, event: str, request_id: str) -> None:
    told = [line for line in logs.lines(service) if line.event == event]
    assert request_id in {id_ for line in told for id_ in line.concerns}


def test_what_a_c_library_prints_of_a_damaged_image_is_a_line_too(logs: Logs) -> None:
    printed = [line.event for line in logs.lines("detector") if line.logger == "prints"]
    assert any("libpng" in line or "JPEG" in line for line in printed)


def test_libraries_say_nothing_below_a_warning(logs: Logs) -> None:
    for service in SERVICES:
        low = [line for line in logs.lines(service) if line.level in ("DEBUG", "INFO")]
        assert {line.logger.split(".")[0] for line in low} <= {"fercore", "services"}


def test_what_a_client_does_wrong_is_no_error_of_ours(logs: Logs) -> None:
    assert [line for line in logs.lines("gateway") if line.level in ("ERROR", "CRITICAL")] == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_collector_of_traces_that_is_away_all_the_time_is_one_line(logs: Logs, service: str) -> None:
    told = [line for line in logs.lines(service) if "collector" in line.event or "opentel" in line.logger]
    assert [line.event for line in told] == ["the collector of traces is away"]
    assert "refused" in str(told[0].details["reason"])


def test_of_a_lost_queue_only_what_it_did_to_requests_is_told_beside_the_redis_that_is_away(
    logs: Logs,
) -> None:
    lost = [line for line in logs.lines("gateway") if line.event == "the queue was lost"]
    assert [bool(line.request_ids) for line in lost] == [True]


def test_nothing_is_told_with_a_traceback_but_bugs(logs: Logs) -> None:
    tracebacks = [line for service in SERVICES for line in logs.lines(service) if line.traceback]
    assert [
        (line.logger, line.event) for line in tracebacks if line.logger.startswith(("ferc", "serv"))
    ] == []
