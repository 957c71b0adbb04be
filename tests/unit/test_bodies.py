"""Which bodies are read, whoever sends them, and what is said of those that are not."""

import base64
import json

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.responses import Response

from fercore.service.bodies import read_images
from fercore.service.errors import add_error_handlers
from fercore.service.settings import ImageLimits

pytestmark = pytest.mark.anyio

JPEG = b"\xff\xd8\xff\xe0 a picture \0\xff\xfe\xfd\xd9" * 9
OTHER = b"\x89PNG another"
BOUNDARY = "b0undary"
FORM = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
JSON = {"content-type": "application/json"}


@pytest.fixture
async def client():
    app = FastAPI()
    add_error_handlers(app)

    @app.post("/images")
    async def images(request: Request) -> Response:
        limits = ImageLimits(max_image_bytes=1000, max_body_bytes=100_000, max_images=3)
        found = await read_images(request, limits, lambda _: None)
        return Response(json.dumps([image.hex() for image in found]))

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def read(client: httpx.AsyncClient, content: bytes, headers: dict[str, str]) -> list[bytes]:
    response = await client.post("/images", content=content, headers=headers)
    assert response.status_code == 200, response.text
    return [bytes.fromhex(image) for image in response.json()]


async def refused(client: httpx.AsyncClient, content: bytes, headers: dict[str, str]) -> str:
    response = await client.post("/images", content=content, headers=headers)
    assert 400 <= response.status_code < 500
    return response.json()["detail"]


def part(disposition: str, content: bytes, media: str | None = None) -> bytes:
    lines = [f"--{BOUNDARY}", f"Content-Disposition: form-data; {disposition}"]
    lines += [f"Content-Type: {media}"] if media else []
    return "\r\n".join([*lines, "", ""]).encode() + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


@pytest.mark.parametrize(
    "content_type",
    [
        "image/jpeg", "image/jpg", "image/pjpeg", "image/png", "image/*", "image/x-anything", "IMAGE/JPEG",
        "image/jpeg; charset=binary", "application/octet-stream", "binary/octet-stream", "",
    ],
)  # fmt: skip
async def test_a_body_of_any_image_or_octet_type_is_the_image(client, content_type):
    assert await read(client, JPEG, {"content-type": content_type}) == [JPEG]


async def test_a_body_without_a_content_type_is_the_image(client):
    request = client.build_request("POST", "/images", content=JPEG)
    request.headers.pop("content-type", None)
    response = await client.send(request)
    assert response.json() == [JPEG.hex()]


async def test_another_type_is_refused_by_its_name_with_what_would_be_right(client):
    detail = await refused(client, JPEG, {"content-type": "application/x-www-form-urlencoded"})
    assert "'application/x-www-form-urlencoded'" in detail
    assert "as image/jpeg" in detail


@pytest.mark.parametrize("content", [JPEG, JPEG + b'"' * 500, b"", b"  "])
async def test_what_is_declared_as_json_and_is_not_is_told_so(client, content):
    assert (await refused(client, content, JSON)).startswith("the body is declared as JSON and is not")


@pytest.mark.parametrize("name", ["file", "image", "imageFile", "files", "files[]", "upload", "", "Bild 1"])
async def test_a_part_with_a_file_name_is_an_image_whatever_its_field_is_called(client, name):
    content = form(part(f'name="{name}"; filename="a.jpg"', JPEG))
    assert await read(client, content, FORM) == [JPEG]


async def test_a_part_with_an_image_type_is_an_image_and_order_is_kept(client):
    content = form(
        part('name="upload"', JPEG, "image/jpeg"),
        part('name="file"', OTHER),
        part('name="snapshot"; filename="x"', JPEG, "application/octet-stream"),
    )
    assert await read(client, content, FORM) == [JPEG, OTHER, JPEG]


async def test_a_file_field_that_nobody_filled_is_passed_over(client):
    content = form(
        part('name="first"; filename=""', b"", "application/octet-stream"),
        part('name="second"; filename="b.png"', OTHER),
    )
    assert await read(client, content, FORM) == [OTHER]


async def test_another_field_is_refused_by_its_name(client):
    content = form(part('name="max_faces"', b"3"), part('name="file"; filename="a"', JPEG))
    detail = await refused(client, content, FORM)
    assert "'max_faces' is not a file" in detail
    assert "/predict?max_faces=1" in detail


async def test_a_form_without_any_file_says_where_to_put_it(client):
    content = form(part('name="file"; filename=""', b""))
    assert await refused(client, content, FORM) == "the form has no file; send it as `file`"


async def test_more_files_than_are_allowed_are_refused(client):
    content = form(*[part('name="a"; filename="a"', JPEG)] * 4)
    assert await refused(client, content, FORM) == "more than 3 images"


def in_json(*texts: str) -> bytes:
    return json.dumps({"images": texts} if len(texts) > 1 else {"image": texts[0]}).encode()


STANDARD = base64.b64encode(JPEG).decode()
URL_SAFE = base64.urlsafe_b64encode(JPEG).decode()


@pytest.mark.parametrize(
    "text",
    [
        STANDARD,
        base64.encodebytes(JPEG).decode(),
        STANDARD[:76] + "\r\n" + STANDARD[76:] + "\r\n",
        URL_SAFE,
        URL_SAFE.rstrip("="),
        f"data:image/jpeg;base64,{STANDARD}",
        f"data:image/jpeg;base64,{base64.encodebytes(JPEG).decode()}",
        f"data:;base64,{URL_SAFE}",
    ],
)
async def test_base64_is_read_in_all_its_usual_forms(client, text):
    assert set("-_") & set(URL_SAFE)  # else nothing is shown of that alphabet
    assert await read(client, in_json(text), JSON) == [JPEG]
    assert await read(client, in_json(text, text), JSON) == [JPEG, JPEG]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("QUJD*UJD", "character 5 is '*'"),
        ("QUJD\nQU*D", "character 8 is '*'"),
        ("data:image/png;base64,QU!D", "character 25 is '!'"),
        ("QQ==QQ==", "character 5 is 'Q'"),
        ("QUJDé", "character 5 is 'é'"),
        ("QUJDQ", "it ends too early or too late, after character 5"),
        ("data:image/png,abc", "a data URL must be `data:<type>;base64,<data>`"),
    ],
)
async def test_a_fault_in_base64_says_in_which_image_and_at_which_character(client, text, fault):
    assert await refused(client, in_json(text), JSON) in (
        f"`image` is not base64: {fault}",
        f"`image`: {fault}",
    )
    detail = await refused(client, in_json(STANDARD, text), JSON)
    assert detail in (f"`images[1]` is not base64: {fault}", f"`images[1]`: {fault}")


async def test_line_breaks_do_not_count_against_the_largest_image(client):
    largest = bytes(1000)
    text = "\r\n".join(base64.b64encode(largest).decode())
    assert await read(client, in_json(text), JSON) == [largest]
    larger = base64.b64encode(bytes(1003)).decode()
    assert "larger than 1000 bytes" in await refused(client, in_json(larger), JSON)
