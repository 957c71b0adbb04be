"""Both signatures of a webhook, by the vectors of those who check them."""

import hashlib
import hmac

import pytest
from pydantic import SecretStr, ValidationError

from services.gateway.alerts.settings import AlertSettings
from services.gateway.alerts.webhook import signature_headers

BODY = b'{"test": 2432232314}'


def test_the_standard_signature_is_that_of_the_standards_own_example():
    secret = b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    headers = signature_headers(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", BODY, 1614265330)
    assert headers["webhook-id"] == headers["X-Fer-Delivery"] == "msg_p5jXN8AQM9LWM0D4loKWxJek"
    assert headers["webhook-timestamp"] == headers["X-Fer-Timestamp"] == "1614265330"
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    own = hmac.new(secret, b"1614265330." + BODY, hashlib.sha256).hexdigest()
    assert headers["X-Fer-Signature"] == f"sha256={own}"


def test_any_other_secret_is_the_key_as_it_is():
    plain = signature_headers(b"secret", "id", BODY, 1)
    coded = signature_headers(b"whsec_c2VjcmV0", "id", BODY, 1)
    assert plain["webhook-signature"] == coded["webhook-signature"]
    assert plain["X-Fer-Signature"] != coded["X-Fer-Signature"]


def test_a_secret_of_the_standards_form_must_be_base64():
    with pytest.raises(ValidationError, match="base64 must follow"):
        AlertSettings(webhook_url=SecretStr("https://h.example/x"), webhook_secret=SecretStr("whsec_!"))
