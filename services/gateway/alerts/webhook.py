"""One try to deliver an alert: signed, to a checked address, nothing followed, nothing read but the status.

Knows neither the store nor when to try again. Sources: RFC 2104 (HMAC), Standard Webhooks 1.0.0.
"""

import asyncio
import base64
import hashlib
import hmac
import ssl
import time
from collections.abc import Callable

import httpx

from services.gateway.alerts.addresses import AddressRefused, Resolve, check_all, resolve

TIMEOUT_S = 10.0
_STANDARD_PREFIX = b"whsec_"


class DeliveryFailed(Exception):
    """The receiver was not reached or did not answer 2xx."""


class Webhook:
    """Where alerts are sent.

    Args:
        url: https, or http where `allows_private`; it may hold a secret, so it stands in no log.
        secret: signs every body.
        allows_private: addresses that are not public are allowed.
        trust: the certificates that are; those of the system by default.
        resolve_host: gives the addresses of the host.
        clock: seconds since 1970.
        timeout_s: for all of one try.
    """

    def __init__(
        self,
        url: str,
        secret: str,
        *,
        allows_private: bool = False,
        trust: ssl.SSLContext | None = None,
        resolve_host: Resolve = resolve,
        clock: Callable[[], float] = time.time,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._url = httpx.URL(url)
        self._secret = secret.encode()
        self._allows_private = allows_private
        self._trust = trust or ssl.create_default_context()
        self._resolve = resolve_host
        self._clock = clock
        self._timeout_s = timeout_s

    async def send(self, delivery_id: str, body: bytes, *, attempt: int) -> None:
        """Try once; of several addresses each attempt takes the next.

        Raises:
            DeliveryFailed: with the reason in words that may be logged.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                status = await self._post(delivery_id, body, attempt)
        except TimeoutError as err:
            raise DeliveryFailed(f"no answer in {self._timeout_s:g} s") from err
        except AddressRefused as err:
            raise DeliveryFailed(str(err)) from err
        except (httpx.HTTPError, OSError, UnicodeError) as err:
            raise DeliveryFailed(type(err).__name__) from err
        if not 200 <= status < 300:
            raise DeliveryFailed(f"the receiver answered {status}")

    async def _post(self, delivery_id: str, body: bytes, attempt: int) -> int:
        host = self._url.raw_host.decode()
        addresses = await self._resolve(host, self._url.port or (443 if self._url.scheme == "https" else 80))
        if not self._allows_private:
            check_all(host, addresses)
        # connected to by the address that was checked: the name is not looked up again
        url = self._url.copy_with(host=addresses[(attempt - 1) % len(addresses)])
        headers = {
            "Host": self._url.netloc.decode(),
            "Content-Type": "application/json",
            "User-Agent": "fer-webhook",
            **signature_headers(self._secret, delivery_id, body, round(self._clock())),
        }
        async with (
            httpx.AsyncClient(verify=self._trust, trust_env=False, timeout=self._timeout_s) as client,
            client.stream(
                "POST",
                url,
                content=body,
                headers=headers,
                follow_redirects=False,
                extensions={"sni_hostname": host},
            ) as response,
        ):
            return response.status_code


def signature_headers(secret: bytes, delivery_id: str, body: bytes, timestamp: int) -> dict[str, str]:
    """Return the headers by which a receiver knows that a body is ours and new: ours, and the standard's.

    Args:
        secret: the setting's bytes; see `standard_key` for the standard's signature.
        delivery_id: the same through all tries.
        body: what is posted.
        timestamp: seconds since 1970.
    """
    own = hmac.new(secret, f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    signed = f"{delivery_id}.{timestamp}.".encode() + body
    standard = base64.b64encode(hmac.new(standard_key(secret), signed, hashlib.sha256).digest()).decode()
    return {
        "X-Fer-Delivery": delivery_id,
        "X-Fer-Timestamp": str(timestamp),
        "X-Fer-Signature": f"sha256={own}",
        "webhook-id": delivery_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{standard}",
    }


def standard_key(secret: bytes) -> bytes:
    """Return the key of the standard's signature: decoded from `whsec_` and base64, else the secret itself.

    Raises:
        binascii.Error: what stands behind `whsec_` is not base64.
    """
    if not secret.startswith(_STANDARD_PREFIX):
        return secret
    return base64.b64decode(secret.removeprefix(_STANDARD_PREFIX), validate=True)
