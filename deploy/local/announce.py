"""Print the address once the cluster is ready, or what it still waits for; end when the cluster ends."""

import json
import os
import time
import urllib.error
import urllib.request

PATIENCE_S = 60


def main() -> None:
    """Wait for the gateway, for as long as the cluster runs."""
    cluster = os.getppid()
    url = f"http://{os.environ['FER_HOST']}:{os.environ['FER_PORT']}"
    started = time.monotonic()
    has_complained = False
    while os.getppid() == cluster:
        reason = why_unready(url)
        if reason is None:
            print(f"FER cluster ready on {url} (logs in {os.environ['FER_RUN_DIR']})", flush=True)
            return
        if not has_complained and time.monotonic() - started > PATIENCE_S:
            has_complained = True
            print(f"still waiting: {reason}; see {os.environ['FER_RUN_DIR']}/*.log", flush=True)
        time.sleep(0.2)


def why_unready(url: str) -> str | None:
    """Return what the gateway still waits for, or None when it is ready."""
    try:
        urllib.request.urlopen(f"{url}/readyz", timeout=5).close()
    except urllib.error.HTTPError as err:
        try:
            checks = json.load(err)["checks"]
        except (ValueError, KeyError):
            return f"the gateway answers {err.code}"
        return ", ".join(reason for reason in checks.values() if reason != "ok")
    except OSError:
        return "the gateway does not answer"
    return None


main()
