"""Settings of live streams."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from fercore.service.settings import WebSocketSettings


class LiveSettings(WebSocketSettings):
    """Who may open a stream, how many at once, and how long what may take."""

    live_deadline_s: Annotated[
        float, Field(gt=0, le=60, description="Seconds from a live frame's arrival until it is answered")
    ] = 1.5
    live_idle_s: Annotated[
        float, Field(gt=0, le=3600, description="Seconds without a message after which a stream is closed")
    ] = 60.0
    live_send_timeout_s: Annotated[
        float, Field(gt=0, le=60, description="Seconds that a stream waits for a client that does not read")
    ] = 5.0
    live_max_streams: Annotated[
        int, Field(ge=1, le=10_000, description="Streams that one gateway serves at once")
    ] = 64
    allowed_origins: Annotated[
        tuple[str, ...],
        NoDecode,
        Field(description="Pages that may open a stream besides the gateway's own: https://a.example,..."),
    ] = ()

    @field_validator("allowed_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(filter(None, (origin.strip().lower() for origin in value.split(","))))

    @field_validator("allowed_origins")
    @classmethod
    def _check_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            parts = urlsplit(origin)
            is_whole = parts.scheme in ("http", "https") and bool(parts.hostname)
            if not is_whole or origin != f"{parts.scheme}://{parts.netloc}":
                raise ValueError(
                    "must be origins such as https://a.example or http://b:8000, with commas between"
                )
        return origins
