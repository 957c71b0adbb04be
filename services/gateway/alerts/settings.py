"""Settings of alert rules and of the webhook."""

import binascii
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, TypeAdapter, ValidationError, ValidationInfo, field_validator
from pydantic_settings import NoDecode

from fercore.contracts.live import AlertRule
from fercore.service.settings import ServiceSettings
from services.gateway.alerts.webhook import standard_key

_RULES: TypeAdapter[tuple[AlertRule, ...]] = TypeAdapter(tuple[AlertRule, ...])


class AlertSettings(ServiceSettings):
    """The rules of every stream that brings none, and where alerts are posted to."""

    alerts: Annotated[
        tuple[AlertRule, ...],
        NoDecode,
        Field(
            max_length=8, description="Rules of every stream that brings none, as a JSON list; [] is no rule"
        ),
    ] = (AlertRule(),)
    webhook_allow_private: Annotated[
        bool, Field(description="The webhook may be plain http and lead to private addresses")
    ] = False
    webhook_url: Annotated[
        SecretStr, Field(description="Where alerts are posted to: https://...; empty: nowhere")
    ] = SecretStr("")
    webhook_secret: Annotated[
        SecretStr,
        Field(description="Signs what is posted; needed where FER_WEBHOOK_URL is set"),
    ] = SecretStr("")
    webhook_attempts: Annotated[
        int, Field(ge=1, le=30, description="Tries to deliver an alert, with growing pauses")
    ] = 8

    @field_validator("alerts", mode="before")
    @classmethod
    def _read_alerts(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        try:
            return _RULES.validate_json(value)
        except ValidationError as err:
            fault = err.errors(include_url=False)[0]
            place = ".".join(str(part) for part in fault["loc"])
            raise ValueError(
                f"must be a JSON list of rules: {place}{': ' if place else ''}{fault['msg']}"
            ) from err

    @field_validator("alerts")
    @classmethod
    def _check_alerts(cls, rules: tuple[AlertRule, ...]) -> tuple[AlertRule, ...]:
        if len({rule.name for rule in rules}) != len(rules):
            raise ValueError("two rules have the same name")
        return rules

    @field_validator("webhook_url")
    @classmethod
    def _check_webhook_url(cls, url: SecretStr, info: ValidationInfo) -> SecretStr:
        if url.get_secret_value():
            schemes = ("https", "http") if info.data.get("webhook_allow_private") else ("https",)
            if not _is_url(url.get_secret_value(), schemes):
                raise ValueError(
                    f"must be {' or '.join(f'{scheme}://host[:port]/...' for scheme in schemes)}"
                )
        return url

    @field_validator("webhook_secret")
    @classmethod
    def _check_webhook_secret(cls, secret: SecretStr, info: ValidationInfo) -> SecretStr:
        url = info.data.get("webhook_url")
        if url is not None and url.get_secret_value() and not secret.get_secret_value():
            raise ValueError("must be set where FER_WEBHOOK_URL is")
        try:
            standard_key(secret.get_secret_value().encode())
        except binascii.Error as err:
            raise ValueError("begins with whsec_, so that base64 must follow") from err
        return secret


def _is_url(url: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
