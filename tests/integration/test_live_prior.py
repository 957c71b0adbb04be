"""The prior of a live stream: its own, the server's, or estimated from what it shows."""

import asyncio

import msgspec
import pytest

from fercore.contracts.messages import ExpectedMix
from services.gateway.live import mix
from tests.support.images import no_face_jpeg
from tests.support.live_gateway import until_ready
from tests.support.streaming import TRAINED, one_face, streaming, working

pytestmark = pytest.mark.anyio

FRAME = no_face_jpeg()


class Worker:
    """Answers for the prior that each frame brings, and notes it."""

    def __init__(self) -> None:
        self.priors: list[ExpectedMix | None] = []

    async def __call__(self, job):
        self.priors.append(job.prior)
        return msgspec.structs.replace(await one_face(job), prior=job.prior)


async def test_a_stream_keeps_the_prior_of_its_start_and_each_result_names_it(gateway, flaky_queue):
    worker = Worker()
    async with working(flaky_queue, worker):
        await until_ready(gateway)
        async with streaming(gateway.url) as stream:
            await stream.send({"type": "start", "prior": "happiness:3,neutral:1"})
            assert (await stream.receive())["type"] == "started"
            for _ in range(2):
                await stream.send(FRAME)
                prior = (await stream.receive())["prior"]
                assert prior["name"] == "custom"
                assert (prior["shares"]["happiness"], prior["shares"]["anger"]) == (0.75, 0)
    assert [prior and prior.name for prior in worker.priors] == ["custom", "custom"]


async def test_a_stream_without_a_prior_is_answered_as_trained(gateway, flaky_queue):
    worker = Worker()
    async with working(flaky_queue, worker):
        await until_ready(gateway)
        async with streaming(gateway.url) as stream:
            await stream.send(FRAME)
            assert (await stream.receive())["prior"] == {"name": "training", "shares": TRAINED}
    assert worker.priors == [None]


async def test_auto_moves_from_the_training_mix_towards_what_is_shown_and_says_so(
    gateway, flaky_queue, monkeypatch
):
    monkeypatch.setattr(mix, "MEMORY_S", 0.5)  # else it would take minutes
    worker = Worker()
    async with working(flaky_queue, worker):
        await until_ready(gateway)
        async with streaming(gateway.url) as stream:
            await stream.send({"type": "start", "prior": "auto"})
            await stream.receive()
            shares: list[dict[str, float]] = []
            async with asyncio.timeout(30):
                while not shares or shares[-1]["happiness"] <= 0.5:
                    await stream.send(FRAME)
                    prior = (await stream.receive())["prior"]
                    assert prior["name"] == "auto"
                    shares.append(prior["shares"])
    assert shares[0] == pytest.approx(TRAINED, abs=1e-4)
    happiness = [one["happiness"] for one in shares]
    assert happiness == sorted(happiness)
    assert happiness[-1] > 0.5
    assert all(one[name] >= mix.ANCHOR * TRAINED[name] - 1e-4 for one in shares for name in TRAINED)
    assert worker.priors[-1] is not None
    assert worker.priors[-1].shares["happiness"] == pytest.approx(happiness[-1], abs=1e-4)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"prior": "anger:-1"}, "the share of anger is negative"),
        ({"prior": "joy:1"}, "'joy' is none of the emotions"),
        ({"prior": "auto", "model": "old"}, "the card of the model 'old' states no training_shares"),
        ({"prior": "uniform", "model": "old"}, "models that can: a, two"),
        ({"prior": "anger:1", "model": "two"}, "'anger' is none of the emotions neutral, happiness"),
    ],
)
async def test_a_start_with_a_wrong_prior_ends_the_stream_with_the_reason(
    gateway, flaky_queue, options, reason
):
    async with working(flaky_queue):
        await until_ready(gateway)
        async with streaming(gateway.url) as stream:
            await stream.send({"type": "start", **options})
            error, stats = await stream.rest()
            assert (error["type"], error["seq"], error["code"]) == ("error", None, "invalid_request")
            assert reason in error["detail"]
            assert stats["received"] == 0
            assert stream.close_code == 1008
