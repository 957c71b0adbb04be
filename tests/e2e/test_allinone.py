"""The whole way of an image in one process: the very application that `make run` starts."""

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from typing import Any

import httpx
import pytest
from asgi_lifespan import LifespanManager
from PIL import Image

from fercore.contracts.defaults import DEFAULT_DETECTOR, DEFAULT_MODEL
from fercore.contracts.emotions import EMOTIONS
from fercore.service.errors import STATUS
from fercore.service.metrics import Metrics
from services.allinone.settings import AllInOneSettings
from services.allinone.wiring import create_app
from services.classifier.wiring import create_backend
from tests.support.bad_inputs import BadInput, bad_inputs, multipart
from tests.support.images import astronaut, crowd, encoded, no_face_jpeg, on_canvas, portrait_jpeg
from tests.support.jpegs import lossless, without_end

pytestmark = pytest.mark.anyio

JPEG = {"content-type": "image/jpeg"}
BAD_INPUTS = list(bad_inputs())


@pytest.fixture(scope="module")
def patient_workers() -> Iterator[None]:
    """Let workers be late to say that they live: tests make images in the same event loop."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fercore.messaging.memory.WORKER_KEY_TTL_MS", 60_000)
        yield


@pytest.fixture(scope="module")
async def client(patient_workers: None) -> AsyncIterator[httpx.AsyncClient]:
    settings = AllInOneSettings(predict_deadline_s=30)
    app = create_app(settings, backend=create_backend(settings), metrics=Metrics())
    async with (
        LifespanManager(app) as manager,
        httpx.AsyncClient(transport=httpx.ASGITransport(manager.app), base_url="http://test") as client,
    ):
        async with asyncio.timeout(20):
            while (await client.get("/readyz")).status_code != 200:
                await asyncio.sleep(0.05)
        yield client


async def predict(client: httpx.AsyncClient, image: bytes, **params: Any) -> dict:
    response = await client.post("/predict", content=image, headers=JPEG, params=params)
    assert response.status_code == 200, response.text
    return response.json()


async def test_the_portrait_is_happy(client):
    answer = await predict(client, portrait_jpeg())
    (face,) = answer["faces"]
    assert face["emotion"] == "happiness"
    assert face["score"] == max(face["probabilities"].values()) > 0.5
    assert sum(face["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert list(face["probabilities"]) == list(EMOTIONS)
    box = face["box"]
    assert box["x"] < 224 < box["x"] + box["width"]
    assert box["y"] < 115 < box["y"] + box["height"]
    assert answer["image"] == {"width": 512, "height": 512}
    assert answer["model"] == {"name": DEFAULT_MODEL, "version": "1"}


async def test_a_prior_corrects_the_real_models_answer_and_is_named(client):
    trained = await predict(client, portrait_jpeg())
    shares = trained["prior"]["shares"]
    assert trained["prior"]["name"] == "training"
    assert sum(shares.values()) == pytest.approx(1, abs=1e-3)
    before = trained["faces"][0]["probabilities"]
    mixes: dict[str, dict[str, float]] = {
        "uniform": dict.fromkeys(map(str, EMOTIONS), 1 / 8),
        "neutral:3,sadness:1": {"neutral": 0.75, "sadness": 0.25},
    }
    for prior, expected in mixes.items():
        answer = await predict(client, portrait_jpeg(), prior=prior)
        assert answer["prior"]["shares"] == pytest.approx(
            {emotion: expected.get(emotion, 0) for emotion in EMOTIONS}, abs=1e-4
        )
        weighed = {name: p * expected.get(name, 0) / shares[name] for name, p in before.items()}
        wanted = {name: value / sum(weighed.values()) for name, value in weighed.items()}
        (face,) = answer["faces"]
        assert face["probabilities"] == pytest.approx(wanted, abs=2e-2)
        assert face["emotion"] == max(wanted, key=wanted.__getitem__)
        assert face["score"] == face["probabilities"][face["emotion"]]
        assert face["uncertain"] == bool(face["uncertain_reasons"])


async def test_every_body_form_gives_the_same_faces(client):
    image = portrait_jpeg()
    text = base64.b64encode(image).decode()
    expected = (await predict(client, image))["faces"]
    answers = [
        await client.post("/predict", files={"file": ("me.jpg", image, "image/jpeg")}),
        await client.post("/v1/predict", files={"file": image}),
        await client.post("/predict", json={"image": text}),
        await client.post("/predict", json={"images": [text]}),
        await client.post("/predict", json={"image": f"data:image/jpeg;base64,{text}"}),
        await client.post("/predict", content=image, headers={"content-type": "application/octet-stream"}),
    ]
    for answer in answers:
        assert answer.status_code == 200, answer.text
        assert answer.json()["faces"] == expected


async def test_timings_stand_in_the_body_and_in_the_header(client):
    response = await client.post("/predict", content=portrait_jpeg(), headers=JPEG)
    timings = response.json()["timings_ms"]
    assert set(timings) == {"queue", "decode", "detect", "align", "infer", "total"}
    assert all(value > 0 for value in timings.values())
    assert timings["total"] >= timings["decode"] + timings["detect"] + timings["infer"]
    assert response.headers["server-timing"].startswith("queue;dur=")


async def test_several_images_are_answered_in_order_each_with_its_own_error(client):
    body = multipart([("file", portrait_jpeg()), ("file", b"nonsense"), ("file", no_face_jpeg())])
    response = await client.post(
        "/predict", content=body, headers={"content-type": "multipart/form-data; boundary=b0undary"}
    )
    assert response.status_code == 200
    first, second, third = response.json()["results"]
    assert [face["emotion"] for face in first["faces"]] == ["happiness"]
    assert second["error"]["code"] == "unsupported_media"
    assert second["error"]["status"] == 415
    assert third["faces"] == []
    assert first["request_id"] != third["request_id"]


async def test_an_image_without_a_face_is_an_empty_list(client):
    answer = await predict(client, no_face_jpeg())
    assert answer["faces"] == []
    assert answer["model"] == {"name": DEFAULT_MODEL, "version": "1"}


async def test_thirty_faces_come_largest_first_and_can_be_limited(client):
    picture = on_canvas(crowd(6, 5), (768, 900), [(0, 0)])
    picture.paste(astronaut().crop((134, 0, 314, 180)).resize((250, 250)), (100, 645))
    image = encoded(picture, quality=95)
    faces = (await predict(client, image))["faces"]
    assert len(faces) == 31
    areas = [face["box"]["width"] * face["box"]["height"] for face in faces]
    # sides are told in tenths of a pixel, so that areas of nearly equal faces may be off by some pixels
    assert all(smaller <= larger + 20 for larger, smaller in pairwise(areas))
    assert [face["emotion"] for face in faces].count("happiness") >= 28
    limited = (await predict(client, image, max_faces=2))["faces"]
    assert limited == faces[:2]
    assert len((await predict(client, image, min_face_px=120))["faces"]) == 1
    assert (await predict(client, image, min_score=1))["faces"] == []


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
async def test_exif_is_applied_so_boxes_are_upright(client, kind):
    tags = Image.Exif()
    tags[0x0112] = 6
    stored = astronaut().transpose(Image.Transpose.ROTATE_90)
    turned = (await predict(client, encoded(stored, kind, exif=tags.tobytes(), quality=95)))["faces"]
    upright = (await predict(client, encoded(astronaut(), kind, quality=95)))["faces"]
    assert len(turned) == len(upright) == 1
    for key in ("x", "y", "width", "height"):
        assert turned[0]["box"][key] == pytest.approx(upright[0]["box"][key], abs=12)


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGBA", "LA", "I;16", "P"])
async def test_grey_cmyk_alpha_deep_and_palette_images_have_the_face(client, mode):
    if mode == "I;16":
        image = encoded(
            Image.fromarray(__import__("numpy").asarray(astronaut().convert("L"), "uint16") * 257), "PNG"
        )
    else:
        image = encoded(astronaut().convert(mode), "JPEG" if mode in ("L", "CMYK") else "PNG")
    assert len((await predict(client, image))["faces"]) == 1


async def test_64_parallel_requests_each_get_their_own_answer(client):
    pictures = [encoded(on_canvas(astronaut(), (512 + 2 * n, 512), [(n, 0)])) for n in range(64)]
    answers = await asyncio.gather(*(predict(client, picture) for picture in pictures))
    for n, answer in enumerate(answers):
        assert answer["image"]["width"] == 512 + 2 * n
        assert abs(answer["faces"][0]["box"]["x"] - 180 - n) < 30


@pytest.mark.parametrize("path", ["/predict/", "/v1/predict/"])
async def test_a_slash_at_the_end_makes_no_difference(client, path):
    response = await client.post(path, content=portrait_jpeg(), headers=JPEG)
    assert (response.status_code, len(response.json()["faces"])) == (200, 1)


@pytest.mark.parametrize("lacks_end", [False, True])
async def test_what_cameras_send_is_answered(client, lacks_end):
    whole = portrait_jpeg()
    frame = b"\r\n" + (without_end(whole) if lacks_end else whole)
    assert (await predict(client, frame))["faces"] == (await predict(client, whole))["faces"]
    cut = await client.post("/predict", content=frame[:-2000], headers=JPEG)
    assert (cut.json()["code"], cut.json()["detail"]) == ("invalid_image", "the image is truncated")


async def test_a_lossless_jpeg_is_found_where_it_is(client):
    upright = on_canvas(astronaut(), (1300, 760), [(100, 50)])
    expected = (await predict(client, encoded(upright, "PNG")))["faces"][0]["box"]
    answer = await predict(client, await asyncio.to_thread(lossless, upright))  # takes a second
    assert answer["image"] == {"width": 1300, "height": 760}
    assert answer["faces"][0]["box"] == pytest.approx(expected, abs=3)


def test_there_are_two_hundred_bad_inputs():
    assert len(BAD_INPUTS) >= 200
    assert len({bad.name for bad in BAD_INPUTS}) == len(BAD_INPUTS)


@pytest.mark.parametrize("bad", BAD_INPUTS, ids=lambda bad: bad.name)
async def test_bad_input_is_refused_with_the_right_problem(client, bad: BadInput):
    response = await client.post(f"/predict?{bad.query}", content=bad.content, headers=bad.headers)
    body = response.json()
    assert body["code"] in bad.codes, body
    assert response.status_code == body["status"] == STATUS[body["code"]]
    assert 400 <= response.status_code < 500
    assert response.headers["content-type"] == "application/problem+json"
    assert body["request_id"] == response.headers["x-request-id"]
    assert "Traceback" not in response.text
    assert len(response.text) < 1500


async def test_an_unknown_name_is_answered_with_what_there_is(client):
    response = await client.post("/predict?model=nobody", content=portrait_jpeg(), headers=JPEG)
    assert response.status_code == 404
    assert DEFAULT_MODEL in response.json()["detail"]


async def test_unknown_paths_and_methods_are_problems_too(client):
    for response in (await client.get("/nowhere"), await client.get("/predict")):
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["status"] == response.status_code in (404, 405)


async def test_the_catalogue_lists_what_lives(client):
    assert (await client.get("/emotions")).json() == {"emotions": list(EMOTIONS)}
    models = (await client.get("/models")).json()["models"]
    assert [(model["name"], model["default"]) for model in models if model["default"]] == [
        (DEFAULT_MODEL, True)
    ]
    assert {"name": DEFAULT_DETECTOR, "default": True} in (await client.get("/detectors")).json()["detectors"]


async def test_the_request_id_of_the_caller_is_kept_and_an_odd_one_replaced(client):
    kept = await client.get("/livez", headers={"x-request-id": "abc-123"})
    assert kept.headers["x-request-id"] == "abc-123"
    replaced = await client.get("/livez", headers={"x-request-id": "a b\tc"})
    assert replaced.headers["x-request-id"].isalnum()


async def test_livez_answers_while_images_are_worked_on(client):
    image = encoded(crowd(8, 8))
    flood = b"\xff\xd8" + b"\xff\xe0\0\2" * 2_000_000 + b"\xff\xd9"
    requests = [predict(client, image) for _ in range(6)]
    requests += [client.post("/predict", content=flood, headers=JPEG) for _ in range(6)]
    working = [asyncio.create_task(request) for request in requests]
    answered = 0
    while not all(task.done() for task in working):
        async with asyncio.timeout(3):  # far above what it takes, far below what the flood once took
            assert (await client.get("/livez")).status_code == 200
        answered += 1
        await asyncio.sleep(0.002)  # a loop that never rests keeps the interpreter's lock from the detector
    await asyncio.gather(*working)
    assert answered > 5


async def test_metrics_tell_what_happened(client):
    await predict(client, portrait_jpeg())
    text = (await client.get("/metrics")).text
    for name in (
        'fer_requests_total{code="200",route="/predict",service="gateway"}',
        'fer_stage_duration_seconds_count{stage="infer"}',
        'fer_queue_messages_total{outcome="done",stream="fer:frames"}',
        f'fer_predictions_total{{emotion="happiness",model="{DEFAULT_MODEL}",version="1"}}',
        f'fer_model_info{{model="{DEFAULT_MODEL}",version="1"}} 1.0',
        "fer_inflight 0.0",
    ):
        assert name in text


async def test_docs_are_served_without_any_outside_address(client):
    for path in ("/", "/docs"):
        page = (await client.get(path)).text
        assert "<html" in page
        assert "http://" not in page
        assert "https://" not in page
    schema = (await client.get("/openapi.json")).json()
    assert {"/predict", "/emotions", "/models", "/detectors"} <= set(schema["paths"])
