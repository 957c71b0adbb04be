"""A live stream of real images: through the one process of `make run`, and through the cluster."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.support.cluster import Cluster, Service
from tests.support.images import astronaut, encoded, on_canvas
from tests.support.ports import free_port
from tests.support.streaming import assert_accounted, streaming
from tests.support.triton_server import TritonServer

pytestmark = pytest.mark.anyio

SIZE = (800, 512)


def walk(step: int) -> bytes:
    """The portrait, a bit further to the right with every step."""
    return encoded(on_canvas(astronaut(), SIZE, [(step * 12, 0)]), quality=90)


@pytest.fixture
async def alone(tmp_path: Path) -> AsyncIterator[Service]:
    settings = {"FER_THREADS": "1", "FER_LIVE_DEADLINE_S": "20"}
    service = Service("allinone", free_port(), settings, tmp_path / "log")
    service.start()
    await asyncio.to_thread(service.wait_until_ready)
    yield service
    await asyncio.to_thread(service.stop)


async def test_a_face_that_moves_is_followed_and_its_scores_are_those_of_predict(alone):
    async with streaming(alone.url) as stream:
        await stream.send({"type": "start", "smoothing": 3})
        await stream.receive()
        for step in range(8):
            await stream.send(walk(step))
            answer = await stream.receive()
            (face,) = answer["faces"]
            assert face["face_id"] == 1
            assert face["smoothed"]["emotion"] == face["emotion"] == "happiness"
            assert answer["image"] == {"width": SIZE[0], "height": SIZE[1]}
        (stats,) = await stream.stop()
        assert stats["results"] == 8
    async with httpx.AsyncClient(timeout=20) as client:
        predicted = await client.post(
            f"{alone.url}/predict", content=walk(7), headers={"Content-Type": "image/jpeg"}
        )
    (same,) = predicted.json()["faces"]
    assert same["box"] == face["box"]
    assert same["probabilities"] == pytest.approx(face["probabilities"], abs=1e-6)


async def test_auto_begins_with_the_mix_of_the_real_models_card_and_moves_towards_what_is_shown(alone):
    async with httpx.AsyncClient(timeout=20) as client:
        models = (await client.get(f"{alone.url}/models")).json()["models"]
    (trained,) = [model["training_shares"] for model in models if model["default"]]
    async with streaming(alone.url) as stream:
        await stream.send({"type": "start", "prior": "auto"})
        await stream.receive()
        happiness = []
        for step in range(8):
            await stream.send(walk(step))
            answer = await stream.receive()
            assert answer["prior"]["name"] == "auto"
            assert answer["faces"][0]["emotion"] == "happiness"
            happiness.append(answer["prior"]["shares"]["happiness"])
    assert happiness[0] == pytest.approx(trained["happiness"], abs=1e-4)
    assert happiness == sorted(happiness)
    assert happiness[-1] < happiness[0] + 0.05


async def test_a_process_that_is_told_to_end_answers_what_it_has_and_says_1001(alone):
    async with streaming(alone.url) as stream:
        await stream.send(walk(0))
        await stream.receive()
        await stream.send(walk(1), walk(2), walk(3), walk(4))
        alone.signal(signal.SIGTERM)
        *answers, stats = await stream.rest()
        assert_accounted(stats)
        assert len(answers) + 1 == stats["received"]
        assert stream.close_code == 1001
    assert await asyncio.to_thread(alone.stop) == 0


async def test_a_detector_that_is_killed_in_mid_stream_costs_some_frames_at_most(
    triton_server: TritonServer, tmp_path: Path
):
    with Cluster(tmp_path, triton=triton_server, detectors=2) as cluster:
        async with streaming(cluster.url) as stream:
            for step in range(4):
                await stream.send(walk(step))
                assert len((await stream.receive())["faces"]) == 1
            cluster.detectors[0].kill()
            async with asyncio.timeout(20):
                answer = {"type": "error"}
                while answer["type"] != "result":  # the one in the dead one's hand may be late
                    await stream.send(walk(4))
                    answer = await stream.receive()
                    assert answer.get("code", "deadline_exceeded") == "deadline_exceeded"
            assert len(answer["faces"]) == 1
            (stats,) = await stream.stop()
            assert_accounted(stats)
            assert stats["results"] >= 5
