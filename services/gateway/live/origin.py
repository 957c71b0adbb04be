"""Who may open a stream from a browser: the page's own origin, and those that the operator allows.

Knows headers only. A browser always sends `Origin` with a WebSocket (RFC 6455, section 10.2), so a request
without one comes from no web page.
"""

from collections.abc import Collection
from urllib.parse import urlsplit


def is_allowed(origin: str | None, host: str, allowed: Collection[str]) -> bool:
    """Return whether a WebSocket may be opened.

    Args:
        origin: the header, None where there is none.
        host: the header of the same request. A proxy may end TLS, so the scheme does not count.
        allowed: further origins.
    """
    if origin is None or origin.lower() in allowed:
        return True
    try:
        return urlsplit(origin).netloc.lower() == host.lower() != ""
    except ValueError:
        return False
