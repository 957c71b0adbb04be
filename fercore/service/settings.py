"""Settings that every service shares, and the one way to load them.

Only `fercore.service.start` calls `load`; everything else is handed a frozen object.
A secret may stand in a file instead of a variable: `fer_<name>` in the folder that `FER_SECRETS_DIR` names.
"""

import os
import re
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

ENV_PREFIX = "FER_"
SECRETS_FOLDER = "/run/secrets"
"""Where containers find the secrets that they are given."""


class ServiceSettings(BaseSettings):
    """Base of all settings; each field is read from `FER_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="ignore")

    host: Annotated[str, Field(description="Address to listen on; loopback by default")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="Port to listen on")] = 8080
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"], Field(description="A served frame is DEBUG")
    ] = "INFO"
    drain_s: Annotated[
        float, Field(gt=0, le=60, description="Seconds that work in hand may take to finish at shutdown")
    ] = 5.0
    otlp_endpoint: Annotated[
        str,
        Field(
            pattern=r"^(https?://[^/@\s]+(/\S*)?)?$",
            description="Collector of traces, by OTLP over HTTP, such as http://collector:4318; no password",
        ),
    ] = ""
    trace_share: Annotated[
        float, Field(ge=0, le=1, description="Sampling rate for requests without a `traceparent` header")
    ] = 1.0


class QueueSettings(ServiceSettings):
    """Settings of a service that talks to the queue over a network."""

    redis_url: Annotated[
        SecretStr, Field(description="Redis that moves frames; it must not persist anything")
    ] = SecretStr("redis://127.0.0.1:6379/0")

    @field_validator("redis_url")
    @classmethod
    def _check_redis_url(cls, url: SecretStr) -> SecretStr:
        return _checked_redis_url(url)


class StateSettings(ServiceSettings):
    """Settings of a service that keeps what must outlive it."""

    state_url: Annotated[
        SecretStr,
        Field(description="Redis with an append-only file for sessions and webhooks; empty: in memory"),
    ] = SecretStr("")

    @field_validator("state_url")
    @classmethod
    def _check_state_url(cls, url: SecretStr) -> SecretStr:
        return _checked_redis_url(url) if url.get_secret_value() else url


def _checked_redis_url(url: SecretStr) -> SecretStr:
    if not _is_redis_url(url.get_secret_value()):
        raise ValueError("must be redis://[:password@]host[:port][/db], rediss://... or unix:///path[?db=n]")
    return url


def _is_redis_url(url: str) -> bool:
    """Return whether this is a whole Redis address; the reason is left out, for it may be the password."""
    try:
        parts = urlsplit(url)
        database = parts.path.removeprefix("/")
        if parts.scheme == "unix":
            is_whole = not parts.hostname and bool(database)
            return is_whole and re.fullmatch(r"(db=\d+)?", parts.query) is not None
        is_whole = parts.scheme in ("redis", "rediss") and bool(parts.hostname) and parts.port != 0
        return is_whole and not parts.query and (not database or database.isdecimal())
    except ValueError:
        return False


class ImageLimits(ServiceSettings):
    """Settings of a service that accepts images over HTTP."""

    max_image_bytes: Annotated[int, Field(ge=1, description="Largest encoded image")] = 10_000_000
    max_body_bytes: Annotated[int, Field(ge=1, description="Largest request body")] = 64_000_000
    max_pixels: Annotated[int, Field(ge=1, description="Largest image in pixels, by its header")] = 50_000_000
    max_images: Annotated[int, Field(ge=1, le=256, description="Images in one request")] = 16
    body_timeout_s: Annotated[float, Field(gt=0, description="Seconds in which a body must arrive")] = 30.0
    max_inflight: Annotated[int, Field(ge=1, description="Images admitted at once")] = 128
    max_inflight_bytes: Annotated[int, Field(ge=1, description="Bytes of images admitted at once")] = (
        256_000_000
    )


class WebSocketSettings(ImageLimits):
    """Settings of a service that accepts images over WebSockets; one message is at most one image."""

    live_ping_interval_s: Annotated[
        float, Field(gt=0, le=3600, description="Seconds between pings to the client of a stream")
    ] = 20.0
    live_ping_timeout_s: Annotated[
        float, Field(gt=0, le=3600, description="Seconds in which a ping must be answered; then close 1011")
    ] = 20.0


Settings = TypeVar("Settings", bound=ServiceSettings)


def load(settings_class: type[Settings]) -> Settings:
    """Read the environment and the secrets' files, or stop the process with one line a wrong variable.

    A secret's file counts where its variable is set too: who mounts one means it.

    Raises:
        SystemExit: a variable or a file is wrong; the line names it and what is allowed, and shows no secret.
    """
    folder = _secrets_folder()
    names = [name for name, field in settings_class.model_fields.items() if field.annotation is SecretStr]
    secrets: dict[str, Any] = {}
    for name in names:
        secret = _read_secret(folder / f"{ENV_PREFIX.lower()}{name}")
        if secret is not None:
            secrets[name] = secret
    try:
        return settings_class(**secrets)
    except ValidationError as err:
        lines = []
        for fault in err.errors(include_url=False):
            field = str(fault["loc"][0]) if fault["loc"] else "?"
            variable = f"{ENV_PREFIX}{field.upper()}"
            value = "(secret)" if field in names else _hide_secrets(os.environ.get(variable, ""))
            source = f"{folder}/{variable.lower()}" if field in secrets else f"{variable}={value}"
            lines.append(f"{source}: {fault['msg'].removeprefix('Value error, ')}")
        sys.exit("wrong setting: " + "; ".join(lines))


def _hide_secrets(value: str) -> str:
    """Quote a value, without what stands before an @: it may be a password that has no place there."""
    return re.sub(r"[^\s/]*@", "(secret)@", repr(value))


def _secrets_folder() -> Path:
    chosen = os.environ.get(f"{ENV_PREFIX}SECRETS_DIR", "")
    if chosen and not Path(chosen).is_dir():
        sys.exit(f"wrong setting: {ENV_PREFIX}SECRETS_DIR={chosen!r}: there is no such folder")
    return Path(chosen or SECRETS_FOLDER)


def _read_secret(file: Path) -> str | None:
    """Return what the file holds, or None where there is none."""
    try:
        return file.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    except OSError as err:
        sys.exit(f"wrong setting: {file}: cannot be read: {err.strerror}")
    except UnicodeDecodeError:
        sys.exit(f"wrong setting: {file}: is no text")
