"""The cluster as real processes over a real Redis and a real Triton, and what happens when parts die."""

import asyncio
import itertools
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from asgi_lifespan import LifespanManager

from fercore.contracts.defaults import DEFAULT_MODEL
from fercore.service.metrics import Metrics
from services.allinone.settings import AllInOneSettings
from services.allinone.wiring import create_app
from services.classifier.wiring import create_backend
from tests.support.cluster import Cluster
from tests.support.images import crowd, encoded, no_face_jpeg, on_canvas, portrait_jpeg
from tests.support.triton_server import TritonServer

pytestmark = pytest.mark.anyio

JPEG = {"content-type": "image/jpeg"}
PATIENCE_S = 30
DETECTED = 'fer_stage_duration_seconds_count{stage="detect"}'


@pytest.fixture(scope="module")
def cluster(triton_server: TritonServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster"), triton=triton_server, detectors=2) as cluster:
        yield cluster


@pytest.fixture
async def client(cluster: Cluster) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=cluster.url, timeout=20) as client:
        await until(lambda: all(service.is_ready() for service in cluster.services))
        yield client


@pytest.fixture
def broker(cluster: Cluster) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(cluster.redis.url) as broker:
        yield broker


async def until(condition: Callable[[], object]) -> None:
    """Poll until something holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < deadline, f"not within {PATIENCE_S} s"
        await asyncio.sleep(0.05)


async def post(client: httpx.AsyncClient, image: bytes, **options: Any) -> httpx.Response:
    return await client.post("/predict", content=image, headers=JPEG, **options)


def in_hand(broker: redis.Redis) -> int:
    return int(broker.xpending("fer:frames", "detector")["pending"])


def assert_unavailable(response: httpx.Response) -> None:
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert int(response.headers["retry-after"]) >= 1
    assert response.json()["code"] in ("upstream_unavailable", "not_ready")


def assert_happy(response: httpx.Response) -> None:
    assert response.status_code == 200, response.text
    assert [face["emotion"] for face in response.json()["faces"]] == ["happiness"]


async def metric(url: str, name: str) -> float:
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"{url}/metrics")).text
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


async def test_the_cluster_answers_as_one_process_does(client):
    priors = ("training", "uniform", "neutral:3,sadness:1")
    images = (
        portrait_jpeg(),
        encoded(crowd(4, 3)),
        no_face_jpeg(),
    )  # made before workers must say that they live
    settings = AllInOneSettings()
    app = create_app(settings, backend=create_backend(settings), metrics=Metrics())
    async with (
        LifespanManager(app) as manager,
        httpx.AsyncClient(transport=httpx.ASGITransport(manager.app), base_url="http://test") as alone,
    ):
        while (await alone.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.05)
        for image, prior in itertools.product(images, priors):
            together = (await post(client, image, params={"prior": prior})).json()
            apart = (await post(alone, image, params={"prior": prior})).json()
            assert together["prior"] == apart["prior"]
            assert together["prior"]["name"] == ("custom" if ":" in prior else prior)
            assert len(together["faces"]) == len(apart["faces"])
            for one, other in zip(together["faces"], apart["faces"], strict=True):
                assert one["box"] == other["box"]
                assert one["emotion"] == other["emotion"]
                assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-3)


async def test_64_parallel_requests_each_get_their_own_answer(client):
    pictures = [encoded(on_canvas(crowd(1, 1), (160 + n, 160), [(16, 16)])) for n in range(64)]
    answers = await asyncio.gather(*(post(client, picture) for picture in pictures))
    for n, answer in enumerate(answers):
        assert answer.status_code == 200, answer.text
        assert answer.json()["image"]["width"] == 160 + n


async def test_both_detectors_share_the_work(client, cluster):
    before = [await metric(detector.url, DETECTED) for detector in cluster.detectors]
    await asyncio.gather(*(post(client, portrait_jpeg()) for _ in range(24)))
    after = [await metric(detector.url, DETECTED) for detector in cluster.detectors]
    assert all(more > less for more, less in zip(after, before, strict=True))


async def test_the_services_own_routes_answer(client, cluster):
    async with httpx.AsyncClient(timeout=20) as direct:
        found = await direct.post(f"{cluster.detectors[0].url}/detect", content=portrait_jpeg(), headers=JPEG)
        assert len(found.json()["faces"]) == 1
        head = encoded(crowd(1, 1), "PNG")
        told = await direct.post(f"{cluster.classifier.url}/classify", files=[("file", head), ("file", head)])
        assert [face["emotion"] for face in told.json()["faces"]] == ["happiness", "happiness"]
        wrong = await direct.post(f"{cluster.classifier.url}/classify?model=nobody", files={"file": head})
        assert wrong.json()["code"] == "unknown_model"


async def test_a_killed_detectors_frame_is_taken_over_and_answered(client, cluster, broker):
    victim, survivor = cluster.detectors

    def each_was_stopped_with_a_frame_in_hand() -> bool:
        for detector in cluster.detectors:
            detector.signal(signal.SIGSTOP)
        if in_hand(broker) >= 2:  # each works on one at a time
            return True
        for detector in cluster.detectors:
            detector.signal(signal.SIGCONT)
        return False

    waiting = [asyncio.create_task(post(client, portrait_jpeg())) for _ in range(8)]
    await until(each_was_stopped_with_a_frame_in_hand)
    victim.kill()
    survivor.signal(signal.SIGCONT)
    try:
        for response in await asyncio.gather(*waiting):
            assert_happy(response)
        taken = await metric(
            survivor.url, 'fer_queue_messages_total{outcome="taken_over",stream="fer:frames"}'
        )
        assert taken >= 1
        await until(lambda: broker.xlen("fer:frames") == 0)
    finally:
        victim.start()


async def test_an_expired_frame_is_dropped_before_it_is_computed(client, cluster, broker):
    computed = 'fer_stage_duration_seconds_count{stage="decode"}'
    before = sum([await metric(detector.url, computed) for detector in cluster.detectors])
    for detector in cluster.detectors:
        detector.signal(signal.SIGSTOP)
    start = time.monotonic()
    answers = await asyncio.gather(*(post(client, portrait_jpeg()) for _ in range(5)))
    assert time.monotonic() - start < 8
    for answer in answers:
        assert answer.status_code == 504
        assert answer.json()["code"] == "deadline_exceeded"
    for detector in cluster.detectors:
        detector.signal(signal.SIGCONT)
    await until(lambda: broker.xlen("fer:frames") == 0)
    expired = 'fer_queue_messages_total{outcome="expired",stream="fer:frames"}'
    assert sum([await metric(detector.url, expired) for detector in cluster.detectors]) >= 3
    after = sum([await metric(detector.url, computed) for detector in cluster.detectors])
    assert after - before <= 2  # at most the frame that each had in hand when it was stopped


async def test_a_poison_message_is_buried_without_its_body(client, broker):
    broker.delete("fer:dead")
    secret = b"a face that nobody may keep"
    broker.xadd("fer:frames", {"v": "1", "body": secret})
    deadline_ms = time.time() * 1000 + 60_000
    broker.xadd(
        "fer:frames",
        {
            "v": "1",
            "request_id": "poison",
            "reply_to": "nobody",
            "deadline_ms": deadline_ms,
            "trace": "",
            "sent_ms": 0,
            "body": secret,
        },
    )
    await until(lambda: broker.xlen("fer:dead") == 2)
    for _, record in broker.xrange("fer:dead"):
        assert secret not in b"".join(record.values())
    assert (await post(client, portrait_jpeg())).status_code == 200


async def test_redis_may_be_stopped_and_started_again(client, cluster):
    for detector in cluster.detectors:
        detector.signal(signal.SIGSTOP)
    waiting = asyncio.create_task(post(client, portrait_jpeg()))
    with redis.Redis.from_url(cluster.redis.url) as broker:
        await until(lambda: broker.xlen("fer:frames") >= 1)
    start = time.monotonic()
    cluster.redis.stop()
    assert_unavailable(await waiting)
    assert time.monotonic() - start < 4  # at once, not at its deadline
    for detector in cluster.detectors:
        detector.signal(signal.SIGCONT)
    assert_unavailable(await post(client, portrait_jpeg()))
    assert (await client.get("/livez")).status_code == 200
    assert (await client.get("/readyz")).status_code == 503
    cluster.redis.start()
    await until(lambda: all(service.is_ready() for service in cluster.services))
    assert_happy(await post(client, portrait_jpeg()))


async def test_triton_may_be_stopped_and_started_again(client, cluster):
    await asyncio.to_thread(cluster.triton.stop)
    start = time.monotonic()
    assert_unavailable(await post(client, portrait_jpeg()))
    assert time.monotonic() - start < 5
    assert (await post(client, no_face_jpeg())).status_code in (200, 503)
    await asyncio.to_thread(cluster.triton.start)
    await until(lambda: all(service.is_ready() for service in cluster.services))
    assert_happy(await post(client, portrait_jpeg()))


async def test_a_killed_gateway_comes_back_and_its_lost_replies_hurt_nobody(client, cluster, broker):
    async def doomed() -> None:
        with pytest.raises(httpx.TransportError):
            await post(client, encoded(crowd(8, 8)))

    tasks = [asyncio.create_task(doomed()) for _ in range(3)]
    await until(lambda: broker.xlen("fer:frames") + broker.xlen("fer:faces") > 0)
    cluster.gateway.kill()
    await asyncio.gather(*tasks)
    cluster.gateway.start()
    await until(cluster.gateway.is_ready)
    assert (await post(client, portrait_jpeg())).status_code == 200
    assert all(0 < broker.ttl(key) <= 60 for key in broker.keys("fer:reply:*"))


async def test_out_of_permits_is_503_at_once(triton_server, tmp_path):
    settings = {"FER_MAX_INFLIGHT": "2", "FER_PREDICT_DEADLINE_S": "20"}
    with Cluster(tmp_path, triton=triton_server, settings=settings) as small:
        small.detectors[0].signal(signal.SIGSTOP)
        async with httpx.AsyncClient(base_url=small.url, timeout=20) as client:
            held = [asyncio.create_task(post(client, portrait_jpeg())) for _ in range(2)]
            await until(lambda: httpx.get(f"{small.url}/metrics").text.count("fer_inflight 2.0"))
            start = time.monotonic()
            refused = await post(client, portrait_jpeg())
            assert time.monotonic() - start < 5
            assert refused.status_code == 503
            assert refused.json()["code"] == "overloaded"
            assert refused.headers["retry-after"]
            small.detectors[0].signal(signal.SIGCONT)
            assert {response.status_code for response in await asyncio.gather(*held)} == {200}
            await until(small.gateway.is_ready)
            assert (await post(client, portrait_jpeg())).status_code == 200


async def test_without_a_living_detector_it_is_not_ready_until_one_comes_back(triton_server, tmp_path):
    with Cluster(tmp_path, triton=triton_server) as cluster:
        (detector,) = cluster.detectors
        async with httpx.AsyncClient(base_url=cluster.url, timeout=20) as client:
            detector.kill()
            await until(lambda: not cluster.gateway.is_ready())
            refused = await post(client, portrait_jpeg())
            assert_unavailable(refused)
            assert refused.json()["code"] == "not_ready"
            detector.start()
            await until(cluster.gateway.is_ready)
            assert_happy(await post(client, portrait_jpeg()))


async def test_services_start_without_redis_and_triton_and_become_ready(triton_server, tmp_path):
    cluster = Cluster(tmp_path, triton=triton_server)
    try:
        for service in cluster.services:
            service.start()
        await until(lambda: is_alive(cluster.gateway.url))
        async with httpx.AsyncClient(base_url=cluster.url, timeout=20) as client:
            assert_unavailable(await post(client, portrait_jpeg()))
            assert (await client.get("/readyz")).status_code == 503
            cluster.redis.start()
            await asyncio.to_thread(cluster.wait_until_ready)
            assert (await post(client, portrait_jpeg())).status_code == 200
    finally:
        await asyncio.to_thread(cluster.stop)


async def test_sigterm_ends_every_service_soon_and_leaves_no_consumer(triton_server, tmp_path):
    with (
        Cluster(tmp_path, triton=triton_server) as cluster,
        redis.Redis.from_url(cluster.redis.url) as broker,
    ):
        for service in cluster.services:
            start = time.monotonic()
            await asyncio.to_thread(service.stop)
            assert time.monotonic() - start < 5
        assert broker.xinfo_consumers("fer:frames", "detector") == []
        assert broker.xinfo_consumers("fer:faces", "classifier") == []
        assert broker.keys("fer:worker:*") == []


async def test_a_broken_model_folder_is_named_and_leaves_the_service_unready(triton_server, tmp_path):
    broken = tmp_path / "models" / f"emotion_{DEFAULT_MODEL}"
    broken.mkdir(parents=True)
    (broken / "card.json").write_text("{}")
    cluster = Cluster(tmp_path, triton=triton_server, settings={"FER_MODEL_REPOSITORY": str(broken.parent)})
    try:
        cluster.redis.start()
        cluster.classifier.start()
        await until(lambda: is_alive(cluster.classifier.url))
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"{cluster.classifier.url}/readyz")
        assert answer.status_code == 503
        assert f"emotion_{DEFAULT_MODEL}: " in answer.json()["checks"]["model"]
        assert f"emotion_{DEFAULT_MODEL}" in cluster.classifier.log()
    finally:
        await asyncio.to_thread(cluster.stop)


def is_alive(url: str) -> bool:
    try:
        return httpx.get(f"{url}/livez").status_code == 200
    except httpx.TransportError:
        return False


def test_a_wrong_setting_stops_the_start_with_one_line(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "services.gateway"],
        env=os.environ | {"FER_PORT": "many"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "FER_PORT='many'" in done.stderr
    assert done.stderr.count("\n") == 1
