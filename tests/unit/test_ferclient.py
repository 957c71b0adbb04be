"""The SDK's requests: what it sends, how it reads answers, when it asks again."""

import io
import json
import time
from collections.abc import Callable

import httpx
import pytest

from ferclient import (
    AsyncClient,
    Client,
    Prediction,
    PredictOptions,
    Prior,
    Refused,
    Unreachable,
    UnreadableAnswer,
)
from ferclient.patience import Patience
from fercore.contracts.emotions import EMOTIONS, Emotion
from fercore.version import VERSION
from tests.support.ferserver import FACE, PREDICTION, TREND, problem

pytestmark = pytest.mark.anyio


def client_of(*answers: httpx.Response | Exception | Callable[[httpx.Request], httpx.Response], **options):
    """A client whose server gives these answers in turn, the last one for ever; and the requests it saw."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        given = answers[min(len(seen), len(answers)) - 1]
        if isinstance(given, Exception):
            raise given
        return given(request) if callable(given) else given

    return AsyncClient("http://fer:1/", transport=httpx.MockTransport(answer), **options), seen


def ok(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json=PREDICTION)


async def test_an_image_goes_as_bytes_path_or_open_file(tmp_path):
    path = tmp_path / "me.jpg"
    path.write_bytes(b"picture")
    client, seen = client_of(ok)
    async with client:
        for image in (b"picture", path, str(path), io.BytesIO(b"picture")):
            answer = await client.predict(image)
            assert isinstance(answer, Prediction)
            assert answer.faces[0].emotion is Emotion.HAPPINESS
    assert [request.read() for request in seen] == [b"picture"] * 4
    assert {str(request.url) for request in seen} == {"http://fer:1/predict"}


async def test_a_request_names_the_client_and_its_version():
    client, seen = client_of(ok)
    await client.predict(b"p")
    assert seen[0].headers["user-agent"] == f"ferclient/{VERSION}"


async def test_only_options_that_were_set_are_sent():
    client, seen = client_of(ok)
    await client.predict(b"p", PredictOptions(model="cnn3", min_score=0.25))
    assert dict(seen[0].url.params) == {"model": "cnn3", "min_score": "0.25"}


async def test_a_prior_is_sent_and_the_one_that_was_used_is_read():
    used = {"name": "custom", "shares": {"neutral": 0.25, "happiness": 0.75}}
    client, seen = client_of(httpx.Response(200, json=PREDICTION | {"prior": used}))
    answer = await client.predict(b"p", PredictOptions(prior="happiness:3,neutral:1"))
    assert dict(seen[0].url.params) == {"prior": "happiness:3,neutral:1"}
    assert answer.prior == Prior(name="custom", shares={Emotion.NEUTRAL: 0.25, Emotion.HAPPINESS: 0.75})


async def test_an_older_server_answers_as_trained():
    assert "prior" not in PREDICTION
    client, _ = client_of(ok)
    assert (await client.predict(b"p")).prior == Prior(name="training", shares=None)


async def test_unknown_fields_of_an_answer_are_ignored_everywhere():
    newer = PREDICTION | {"news": 1, "faces": [FACE | {"mood": "good", "box": FACE["box"] | {"depth": 3}}]}
    client, _ = client_of(httpx.Response(200, json=newer))
    assert (await client.predict(b"p")).faces[0].box.width == 30


async def test_the_catalogue_and_sessions_come_typed():
    answers = {
        "/models": {
            "models": [
                {"name": "m", "version": "1", "labels": ["fear"], "description": "", "default": True, "x": 1}
            ]
        },
        "/detectors": {"detectors": [{"name": "haar", "default": True}]},
        "/emotions": {"emotions": list(EMOTIONS)},
        f"/sessions/{'0' * 32}/trend": TREND,
    }
    client, seen = client_of(lambda request: httpx.Response(200, json=answers[request.url.path]))
    assert (await client.models())[0].labels == [Emotion.FEAR]
    assert (await client.detectors())[0].default
    assert await client.emotions() == list(EMOTIONS)
    assert (await client.trend("0" * 32, 5)).totals.emotion is Emotion.ANGER
    assert seen[-1].url.params["bucket"] == "5s"


async def test_a_session_is_deleted_by_its_escaped_id():
    client, seen = client_of(httpx.Response(204))
    await client.delete_session("../models")
    assert seen[0].method == "DELETE"
    assert seen[0].url.raw_path == b"/sessions/..%2Fmodels"


async def test_a_problem_becomes_an_exception_with_its_values():
    client, _ = client_of(problem(422, "invalid_image"))
    with pytest.raises(Refused, match="invalid_image: it is invalid_image") as caught:
        await client.predict(b"p")
    err = caught.value
    assert (err.code, err.status, err.request_id) == ("invalid_image", 422, "r9")
    assert err.detail == "it is invalid_image"


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(502, text="<html>"),
        httpx.Response(404, json={"detail": "Not Found"}),
        httpx.Response(200, text="hello"),
        httpx.Response(301, headers={"location": "http://elsewhere/"}),
        httpx.Response(200, json=PREDICTION | {"faces": None}),
    ],
)
async def test_what_is_no_answer_of_ours_is_called_unreadable(answer):
    client, _ = client_of(answer)
    with pytest.raises(UnreadableAnswer):
        await client.predict(b"p")


async def test_a_busy_server_is_asked_again():
    client, seen = client_of(problem(503, "overloaded"), problem(429, "rate_limited"), ok)
    assert await client.predict(b"p")
    assert len(seen) == 3


async def test_retry_after_is_honoured():
    client, seen = client_of(problem(503, "not_ready", **{"Retry-After": "1"}), ok)
    start = time.monotonic()
    await client.predict(b"p")
    assert 1 <= time.monotonic() - start < 5
    assert len(seen) == 2


async def test_a_server_that_wants_a_longer_wait_than_we_have_is_not_waited_for():
    client, seen = client_of(problem(503, "not_ready", **{"Retry-After": "60"}))
    start = time.monotonic()
    with pytest.raises(Refused, match="not_ready"):
        await client.predict(b"p")
    assert time.monotonic() - start < 5
    assert len(seen) == 1


async def test_asking_again_is_bounded_in_total():
    client, seen = client_of(problem(503, "overloaded"), patience_s=0.5)
    start = time.monotonic()
    with pytest.raises(Refused) as caught:
        await client.predict(b"p")
    assert caught.value.status == 503
    assert time.monotonic() - start < 5
    assert 2 <= len(seen) <= 7


async def test_other_faults_are_not_asked_again():
    for status, code in ((422, "invalid_image"), (500, "internal"), (504, "deadline_exceeded")):
        client, seen = client_of(problem(status, code))
        with pytest.raises(Refused):
            await client.predict(b"p")
        assert len(seen) == 1


async def test_a_refused_connection_is_tried_again_and_then_called_unreachable():
    client, seen = client_of(httpx.ConnectError("refused"), ok)
    assert await client.predict(b"p")
    assert len(seen) == 2
    client, seen = client_of(httpx.ConnectError("refused"), patience_s=0)
    with pytest.raises(Unreachable, match="http://fer:1: refused") as caught:
        await client.predict(b"p")
    assert isinstance(caught.value, ConnectionError)


async def test_a_broken_connection_repeats_what_may_be_repeated():
    client, seen = client_of(httpx.ReadError("reset"), ok)
    assert await client.predict(b"p")
    client, seen = client_of(httpx.ReadError("reset"), httpx.Response(204))
    with pytest.raises(Unreachable):
        await client.delete_session("0" * 32)
    assert len(seen) == 1


async def test_no_answer_in_time_is_unreachable_and_not_asked_again():
    client, seen = client_of(httpx.ReadTimeout(""), timeout_s=3)
    with pytest.raises(Unreachable, match="no answer in 3 s"):
        await client.predict(b"p")
    assert len(seen) == 1


@pytest.mark.parametrize("url", ["", "127.0.0.1:8080", "ftp://fer", "http://", "http://fer:port"])
async def test_what_is_no_address_is_refused_at_once(url):
    with pytest.raises(ValueError, match="no address"):
        AsyncClient(url)


async def test_many_images_come_back_in_order_each_with_its_own_outcome(tmp_path):
    def by_number(request: httpx.Request) -> httpx.Response:
        number = int(request.content)
        if number == 2:
            return problem(422, "invalid_image")
        return httpx.Response(200, json=PREDICTION | {"request_id": f"r{number}"})

    client, _ = client_of(by_number)
    images = [b"0", b"1", b"2", tmp_path / "absent.jpg", b"4"]
    outcomes = [outcome async for outcome in client.predict_many(images, at_once=2)]
    ids = [outcome.request_id if isinstance(outcome, Prediction) else type(outcome) for outcome in outcomes]
    assert ids == ["r0", "r1", Refused, FileNotFoundError, "r4"]


async def test_many_images_are_not_read_before_their_turn():
    given: list[int] = []

    def images():
        for number in range(100):
            given.append(number)
            yield b"p"

    client, _ = client_of(ok)
    async for _ in client.predict_many(images(), at_once=3):
        break
    assert len(given) == 3


@pytest.mark.parametrize("code", ["unknown_model", "invalid_request"])
async def test_a_problem_of_every_image_ends_many(code):
    client, _ = client_of(problem(404, code))
    with pytest.raises(Refused, match=code) as caught:
        async for _ in client.predict_many([b"p"] * 9):
            pass
    assert caught.value.is_of_the_image is caught.value.is_of_the_picture is False


async def test_nobody_there_ends_many():
    client, _ = client_of(httpx.ConnectError("refused"), patience_s=0)
    with pytest.raises(Unreachable):
        async for _ in client.predict_many([b"p"] * 9):
            pass


def test_waits_grow_are_random_and_stop_in_time():
    now = [0.0]
    waits = []
    patience = Patience(20, now=lambda: now[0], chance=lambda: 1.0)
    while (wait_s := patience.next_wait_s()) is not None:
        waits.append(wait_s)
        now[0] += wait_s
    assert waits[:6] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2.0])
    assert sum(waits) <= 20 < sum(waits) + 2.0
    shortest = Patience(20, now=lambda: 0.0, chance=lambda: 0.0)
    assert shortest.next_wait_s(3) == pytest.approx(3.05)


def blocking_client(*answers) -> Client:
    def answer(request: httpx.Request) -> httpx.Response:
        return answers[0](request) if callable(answers[0]) else answers[0]

    return Client("http://fer:1", transport=httpx.MockTransport(answer))


def test_the_blocking_client_gives_and_raises_the_same():
    with blocking_client(ok) as client:
        assert client.predict(b"p").request_id == "r1"
        assert [type(outcome) for outcome in client.predict_many([b"p", b"p"])] == [Prediction, Prediction]
    with blocking_client(problem(404, "unknown_model")) as client, pytest.raises(Refused, match="unknown"):
        client.predict(b"p")


def test_a_closed_blocking_client_says_so():
    client = blocking_client(ok)
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.predict(b"p")


def test_breaking_off_a_blocking_iteration_leaves_nothing_running():
    with blocking_client(ok) as client:
        for _ in client.predict_many([b"p"] * 50, at_once=8):
            break
        assert json.loads(client.predict(b"p").model_dump_json())["request_id"] == "r1"
