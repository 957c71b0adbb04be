"""Take the picture of Prometheus' own page with the latency quantiles of a cluster that is kept busy.

`python -m docs.images.prometheus` starts the cluster as processes, asks with one and two callers, and writes
`docs/images/prometheus-latency.png`. Needs `prometheus` and `chromium`.
"""

import asyncio
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlencode

from playwright.sync_api import sync_playwright

from tests.load.client import run_load
from tests.support.cluster import Cluster
from tests.support.images import portrait_640x480
from tests.support.prometheus_server import Prometheus

PICTURE = Path(__file__).parent / "prometheus-latency.png"
QUERY = '{__name__=~"fer:frame_seconds:p50|fer:frame_seconds:p95|fer:frame_seconds:p99"}'
SETTINGS = {"FER_PREDICT_DEADLINE_S": "20"}
SECONDS = 75
CALLERS = (1, 2)


def main() -> None:
    """Load the cluster while Prometheus watches it, then look."""
    with tempfile.TemporaryDirectory() as name, Cluster(Path(name), settings=SETTINGS) as cluster:
        folder = Path(name)
        gateway = cluster.url.removeprefix("http://")
        with Prometheus(folder, {"gateway": [gateway]}) as prometheus:
            for count in CALLERS:
                load = asyncio.run(
                    run_load(f"{cluster.url}/predict", portrait_640x480(), concurrency=count, seconds=SECONDS)
                )
                told = ", ".join(f"p{q} {load.percentile_ms(q / 100):.0f} ms" for q in (50, 95, 99))
                sys.stdout.write(f"{count} at once: {load.rate:.1f}/s, {told}, {load.statuses}\n")
            for sample in prometheus.ask(QUERY):
                sys.stdout.write(f"{sample['metric']['__name__']} {sample['value'][1]} s\n")
            take_picture(prometheus.url)


def take_picture(url: str) -> None:
    """Draw the last three minutes."""
    query = urlencode({"g0.expr": QUERY, "g0.tab": 0, "g0.range_input": "3m", "g0.step_input": 1})
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1100, "height": 880})
        page.goto(f"{url}/graph?{query}")
        page.wait_for_selector(".rickshaw_graph svg path")
        page.screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    main()
