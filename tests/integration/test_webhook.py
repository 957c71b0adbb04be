"""One try of the webhook: signed, to a checked address only, nothing followed and nothing read."""

import asyncio
import hashlib
import hmac
import json
import ssl
import sys
from collections.abc import Sequence

import pytest
import trustme

from services.gateway.alerts.addresses import is_public
from services.gateway.alerts.webhook import DeliveryFailed, Webhook
from tests.support.receiver import Receiver, receiving

pytestmark = pytest.mark.anyio

SECRET = "hunter2"
NAME = "hooks.example"
BODY = json.dumps({"alert": "ü"}).encode()


class Resolver:
    """Notes what it is asked."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self.addresses = addresses
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append((host, port))
        return list(self.addresses)


def leading_to(*addresses: str) -> Resolver:
    return Resolver(addresses)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trust(authority) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def certified(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def plain(receiver: Receiver, **options) -> Webhook:
    return Webhook(f"http://127.0.0.1:{receiver.port}/hook?a=b", SECRET, allows_private=True, **options)


async def test_what_is_sent_is_signed_with_the_time(authority):
    async with receiving(Receiver()) as receiver:
        await plain(receiver, clock=lambda: 1_795_000_000.4).send("d-1", BODY, attempt=1)
    [received] = receiver.received
    assert received.line == "POST /hook?a=b HTTP/1.1"
    assert received.body == BODY
    assert received.headers["content-type"] == "application/json"
    assert received.headers["x-fer-delivery"] == "d-1"
    assert received.headers["x-fer-timestamp"] == "1795000000"
    expected = hmac.new(SECRET.encode(), b"1795000000." + BODY, hashlib.sha256).hexdigest()
    assert received.headers["x-fer-signature"] == f"sha256={expected}"


async def test_it_connects_to_the_checked_address_and_asks_for_the_name(authority, trust):
    names = []
    tls = certified(authority, NAME)
    tls.sni_callback = lambda connection, name, context: names.append(name)
    resolve = leading_to("127.0.0.1")
    async with receiving(Receiver(), tls=tls) as receiver:
        webhook = Webhook(
            f"https://{NAME}:{receiver.port}/",
            SECRET,
            allows_private=True,
            trust=trust,
            resolve_host=resolve,
        )
        await webhook.send("d", BODY, attempt=1)
    assert resolve.asked == [(NAME, receiver.port)]
    assert names == [NAME]
    assert receiver.received[0].headers["host"] == f"{NAME}:{receiver.port}"


@pytest.mark.parametrize("names", [("other.example",), ("127.0.0.1",)])
async def test_a_certificate_for_another_name_is_refused(authority, trust, names):
    async with receiving(Receiver(), tls=certified(authority, *names)) as receiver:
        webhook = Webhook(
            f"https://{NAME}:{receiver.port}/",
            SECRET,
            allows_private=True,
            trust=trust,
            resolve_host=leading_to("127.0.0.1"),
        )
        with pytest.raises(DeliveryFailed, match="ConnectError"):
            await webhook.send("d", BODY, attempt=1)
    assert receiver.received == []


async def test_a_certificate_that_nobody_vouches_for_is_refused(authority):
    async with receiving(Receiver(), tls=certified(authority, NAME)) as receiver:
        webhook = Webhook(
            f"https://{NAME}:{receiver.port}/",
            SECRET,
            allows_private=True,
            resolve_host=leading_to("127.0.0.1"),
        )
        with pytest.raises(DeliveryFailed, match="ConnectError"):
            await webhook.send("d", BODY, attempt=1)
    assert receiver.received == []


@pytest.mark.parametrize("status", [204, 299])
async def test_any_2xx_is_success(status):
    async with receiving(Receiver(status)) as receiver:
        await plain(receiver).send("d", BODY, attempt=1)


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 404, 410, 429, 500, 503])
async def test_all_else_fails_and_a_redirect_is_not_followed(status):
    async with receiving(Receiver(status)) as receiver:
        with pytest.raises(DeliveryFailed, match=f"the receiver answered {status}"):
            await plain(receiver).send("d", BODY, attempt=1)
    assert len(receiver.received) == 1


async def test_a_receiver_that_does_not_answer_is_waited_for_in_bounded_time():
    async with receiving(Receiver(0)) as receiver:
        with pytest.raises(DeliveryFailed, match=r"no answer in 0\.2 s|Timeout"):
            await plain(receiver, timeout_s=0.2).send("d", BODY, attempt=1)


async def test_a_name_that_is_not_resolved_is_waited_for_in_bounded_time():
    async def resolve(host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    webhook = Webhook(f"https://{NAME}/", SECRET, resolve_host=resolve, timeout_s=0.1)
    with pytest.raises(DeliveryFailed, match=r"no answer in 0\.1 s"):
        await asyncio.wait_for(webhook.send("d", BODY, attempt=1), 5)


async def test_the_body_of_an_answer_is_not_read():
    async with receiving(Receiver(promised_bytes=50_000_000)) as receiver:
        await plain(receiver, timeout_s=5).send("d", BODY, attempt=1)


async def test_nobody_listening_is_a_failure():
    async with receiving(Receiver()) as receiver:
        pass
    with pytest.raises(DeliveryFailed, match="ConnectError"):
        await plain(receiver).send("d", BODY, attempt=1)


async def test_a_name_that_leads_nowhere_is_a_failure():
    async def resolve(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    with pytest.raises(DeliveryFailed, match="OSError"):
        await Webhook(f"https://{NAME}/", SECRET, resolve_host=resolve).send("d", BODY, attempt=1)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"])
async def test_an_address_of_this_machine_is_refused_unless_allowed(host):
    async with receiving(Receiver()) as receiver:
        webhook = Webhook(f"https://{host}:{receiver.port}/", SECRET)
        with pytest.raises(DeliveryFailed, match="no public address"):
            await webhook.send("d", BODY, attempt=1)
    assert receiver.received == []


async def test_one_private_address_among_public_ones_is_enough_to_refuse():
    async with receiving(Receiver()) as receiver:
        webhook = Webhook(
            f"https://{NAME}:{receiver.port}/", SECRET, resolve_host=leading_to("93.184.215.14", "127.0.0.1")
        )
        with pytest.raises(DeliveryFailed, match=f"{NAME} leads to 127.0.0.1"):
            await webhook.send("d", BODY, attempt=2)
    assert receiver.received == []


async def test_each_attempt_takes_the_next_address():
    async with receiving(Receiver()) as receiver:
        webhook = plain(receiver, resolve_host=leading_to("127.0.0.2", "127.0.0.1"))
        with pytest.raises(DeliveryFailed):
            await webhook.send("d", BODY, attempt=1)
        await webhook.send("d", BODY, attempt=2)


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch):
    async with receiving(Receiver()) as receiver, receiving(Receiver()) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        await plain(receiver).send("d", BODY, attempt=1)
    assert proxy.received == []


async def test_what_fails_does_not_tell_the_url():
    async with receiving(Receiver(500)) as receiver:
        with pytest.raises(DeliveryFailed) as failure:
            await plain(receiver).send("d", BODY, attempt=1)
    assert "hook" not in str(failure.value)


async def test_no_log_tells_the_url():
    """In a process of its own, for logging is set up once a process."""
    async with receiving(Receiver()) as receiver:
        code = f"""
import asyncio
from fercore.service.process_log import process_log, set_level
from services.gateway.alerts.webhook import Webhook
with process_log("gateway"):
    set_level("DEBUG")
    webhook = Webhook("http://127.0.0.1:{receiver.port}/t0ken", "s", allows_private=True)
    asyncio.run(webhook.send("d", b"", attempt=1))
"""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        told = b"".join(await process.communicate())
    assert receiver.received[0].line == "POST /t0ken HTTP/1.1"
    assert b"t0ken" not in told


@pytest.mark.parametrize("address", ["93.184.215.14", "8.8.8.8", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
def test_a_public_address_is_public(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.8.8.8",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.88.99.1",
        "192.0.2.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.7",
        "203.0.113.7",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:10.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:a00:1::1",
        "3fff::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
    ],
)
def test_all_others_are_not(address):
    assert not is_public(address)
