"""Start the detector service: `python -m services.detector`. The only place that reads the environment."""

from fercore.service.process_log import process_log, set_level

# what is imported may warn or fail, and that shall be told in the log: it is imported in `main`
# ruff: noqa: PLC0415

SPARE_CONNECTIONS = 8
"""Each waiting thread holds one connection; announcing, taking over and settling need some more."""


def main() -> None:
    """Serve until a signal comes."""
    from fercore.messaging.redis_streams import RedisStreams
    from fercore.service.metrics import Metrics
    from fercore.service.run import serve
    from fercore.service.settings import load
    from fercore.service.tracing import tracing_of
    from services.detector.settings import DetectorSettings
    from services.detector.wiring import create_app

    settings = load(DetectorSettings)
    set_level(settings.log_level)
    url = settings.redis_url.get_secret_value()
    queue = RedisStreams(url, max_connections=settings.threads + SPARE_CONNECTIONS)
    with tracing_of("detector", settings) as tracing:
        serve(create_app(settings, queue=queue, metrics=Metrics(), tracing=tracing), settings)


if __name__ == "__main__":
    with process_log("detector"):
        main()
