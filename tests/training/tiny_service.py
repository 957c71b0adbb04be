"""A service that speaks `POST /classify` and `POST /predict` as the cluster does, without a model."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import cv2
import numpy as np

Answer = Callable[[np.ndarray], dict[str, float]]
"""Gives the probabilities of an RGB image."""


class TinyService:
    """What is asked is kept; the next answers can be replaced by faults."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.faults: list[tuple[int, dict[str, str]]] = []
        self.batches: list[int] = []
        self.queries: list[dict[str, list[str]]] = []
        self.version = "1"
        self.prior: dict[str, object] = {"name": "training", "shares": None}
        self.has_face: Callable[[np.ndarray], bool] = lambda image: True
        self.lock = threading.Lock()
        self.url = ""

    def reply(self, path: str, images: list[np.ndarray]) -> tuple[int, dict[str, str], object]:
        with self.lock:
            if self.faults:
                status, headers = self.faults.pop(0)
                return status, headers, problem(status, "told to fail")
            self.batches.append(len(images))
            self.queries.append(parse_qs(urlsplit(path).query))
        answers = [{"probabilities": self.answer(image), "new_field": 1} for image in images]
        model = {"name": "tiny", "version": self.version}
        body: dict[str, object] = {"request_id": "r", "model": model, "prior": self.prior}
        match urlsplit(path).path:
            case "/classify":
                return 200, {}, body | {"faces": answers}
            case "/predict":
                unlike = {emotion: 1.0 if emotion == "fear" else 0.0 for emotion in self.answer(images[0])}
                faces = [
                    {"probabilities": unlike, "detection_score": 0.6},
                    answers[0] | {"detection_score": 0.9},
                ]
                return 200, {}, body | {"faces": faces if self.has_face(images[0]) else []}
        return 404, {}, problem(404, "no such route")

    @contextmanager
    def running(self) -> Iterator["TinyService"]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()

            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["Content-Length"]))
                status, headers, body = service.reply(self.path, _decode(self.headers["Content-Type"], data))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *_: object) -> None: ...

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.02,))
            thread.start()
            self.url = f"http://127.0.0.1:{server.server_port}"
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()


def problem(status: int, detail: str) -> dict[str, object]:
    about = {
        "type": "about:blank",
        "title": "Fault",
        "instance": "/",
        "code": "overloaded",
        "request_id": "r",
    }
    return about | {"status": status, "detail": detail}


def _decode(content_type: str, data: bytes) -> list[np.ndarray]:
    whole = f"Content-Type: {content_type}\r\n\r\n".encode() + data
    parts = list(message_from_bytes(whole, policy=policy.HTTP).iter_parts())
    assert {part.get_param("name", header="content-disposition") for part in parts} == {"file"}
    encoded = [np.frombuffer(part.get_content(), np.uint8) for part in parts]
    return [cv2.cvtColor(cv2.imdecode(one, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB) for one in encoded]
