"""What every service is around its routes: faults, ids, readiness, background jobs, bodies."""

import asyncio
import contextlib

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.responses import PlainTextResponse

from fercore.contracts.errors import NotReady
from fercore.service.app import build_app, running
from fercore.service.bodies import read_images
from fercore.service.health import CHECK_TIMEOUT_S
from fercore.service.metrics import Metrics
from fercore.service.settings import ImageLimits
from fercore.version import VERSION

pytestmark = pytest.mark.anyio


async def well() -> str | None:
    return None


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def app(metrics) -> FastAPI:
    @contextlib.asynccontextmanager
    async def lifespan(_):
        yield

    app = build_app(
        service="test", title="t", description="d", metrics=metrics, checks={"well": well}, lifespan=lifespan
    )

    @app.get("/bug")
    async def bug() -> None:
        raise ZeroDivisionError("secret")

    @app.get("/fault")
    async def fault() -> None:
        raise NotReady("still loading")

    @app.get("/number/{n}")
    async def number(n: int) -> int:
        return n

    @app.post("/body")
    async def body(request: Request) -> PlainTextResponse:
        limits = ImageLimits(body_timeout_s=0.1, max_image_bytes=10, max_body_bytes=15)
        images = await read_images(request, limits, lambda _: None)
        return PlainTextResponse(str(len(images[0])))

    return app


@pytest.fixture
def client(app) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://test")


async def test_a_bug_is_internal_and_its_traceback_is_in_the_log_only(client, caplog):
    response = await client.get("/bug")
    assert response.status_code == 500
    assert response.json()["code"] == "internal"
    assert response.json()["request_id"] == response.headers["x-request-id"]
    assert "secret" not in response.text
    assert "secret" in caplog.text


async def test_a_fault_is_a_problem_with_retry_after(client):
    response = await client.get("/fault")
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert response.json() == {
        "type": "urn:fer:error:not_ready",
        "title": "Service Unavailable",
        "status": 503,
        "detail": "still loading",
        "instance": "/fault",
        "code": "not_ready",
        "request_id": response.headers["x-request-id"],
    }


async def test_what_ends_in_a_5xx_is_logged_with_its_reason_and_what_the_caller_did_wrong_is_not(
    client, told
):
    failed = await client.get("/fault", headers={"X-Request-ID": "abc"})
    await client.get("/number/many")
    (line,) = told("a request failed")
    assert (failed.status_code, line.level, line.request_id, line.traceback) == (503, "WARNING", "abc", "")
    assert line.details == {"code": "not_ready", "reason": "still loading"}


async def test_a_bug_is_an_error_of_its_request(client, told):
    await client.get("/bug", headers={"X-Request-ID": "abc"})
    (line,) = told("a request failed")
    assert (line.level, line.request_id) == ("ERROR", "abc")
    assert "ZeroDivisionError" in line.traceback


async def test_each_request_is_a_line_of_its_route_and_not_of_its_path(client, told):
    await client.get("/number/7?secret=1", headers={"X-Request-ID": "abc"})
    (line,) = told("request")
    assert (line.level, line.request_id) == ("DEBUG", "abc")
    assert line.details == {"route": "/number/{n}", "status": 200}


async def test_a_wrong_parameter_is_named(client):
    response = await client.get("/number/many")
    assert response.status_code == 422
    assert "n: " in response.json()["detail"]


async def test_a_slash_at_the_end_of_a_path_makes_no_difference(client, metrics):
    for path in ("/number/7/", "/number/7//", "/livez/"):
        assert (await client.get(path)).status_code == 200
    assert (
        await client.post("/body/", content=b"x", headers={"content-type": "image/png"})
    ).status_code == 200
    assert 'route="/number/{n}"' in metrics.exposition().decode()
    assert (await client.get("/nowhere/")).json()["instance"] == "/nowhere"


async def test_requests_are_counted_by_route_and_not_by_path(client, metrics):
    for path in ("/number/1", "/number/2", "/unknown/path", "/bug"):
        await client.get(path)
    text = metrics.exposition().decode()
    assert 'fer_requests_total{code="200",route="/number/{n}",service="test"} 2.0' in text
    assert 'fer_requests_total{code="404",route="unmatched",service="test"} 1.0' in text
    assert 'fer_requests_total{code="500",route="/bug",service="test"} 1.0' in text
    assert "/unknown/path" not in text


async def test_the_version_is_in_livez_and_in_the_metrics(client, metrics):
    assert (await client.get("/livez")).json() == {"status": "alive", "version": VERSION}
    line = f'fer_build_info{{service="test",version="{VERSION}"}} 1.0'
    assert line in metrics.exposition().decode().splitlines()


async def test_readiness_names_what_fails_and_is_bounded_in_time(metrics):
    async def broken() -> str | None:
        return "no connection"

    async def hanging() -> str | None:
        await asyncio.sleep(60)
        return None

    app = build_app(
        service="test",
        title="t",
        description="d",
        metrics=metrics,
        checks={"well": well, "broken": broken, "hanging": hanging},
        lifespan=lambda _: contextlib.nullcontext(),
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        async with asyncio.timeout(CHECK_TIMEOUT_S + 3):
            response = await client.get("/readyz")
    assert response.status_code == 503
    checks = response.json()["checks"]
    assert checks["well"] == "ok"
    assert checks["broken"] == "no connection"
    assert "no answer" in checks["hanging"]


async def test_a_body_that_does_not_arrive_is_a_deadline(client):
    async def slowly():
        yield b"123"
        await asyncio.sleep(5)
        yield b"456"

    response = await client.post("/body", content=slowly(), headers={"content-type": "image/jpeg"})
    assert (response.status_code, response.json()["code"]) == (504, "deadline_exceeded")


async def test_a_body_is_refused_while_it_arrives(client):
    sent = []

    async def endless():
        while True:
            sent.append(1)
            yield b"12345"

    response = await client.post("/body", content=endless(), headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["code"]) == (413, "payload_too_large")
    assert len(sent) <= 5


async def test_a_client_that_leaves_in_mid_body_is_counted_and_is_no_error(app, metrics, caplog):
    messages = iter([{"type": "http.request", "body": b"12", "more_body": True}, {"type": "http.disconnect"}])
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/body",
        "raw_path": b"/body",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"content-type", b"image/jpeg")],
    }

    async def receive():
        return next(messages)

    async def send(message):
        raise AssertionError("nobody is there to read an answer")

    await app(scope, receive, send)
    assert 'fer_requests_total{code="499",route="/body",service="test"} 1.0' in metrics.exposition().decode()
    assert "Traceback" not in caplog.text


async def test_background_jobs_end_with_the_block():
    ended = asyncio.Event()

    async def lasting() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async with running(lasting()):
        await asyncio.sleep(0)
    assert ended.is_set()
