"""Start the classifier: `python -m services.classifier`. The only place that reads the environment."""

from fercore.service.process_log import process_log, set_level

# what is imported may warn or fail, and that shall be told in the log: it is imported in `main`
# ruff: noqa: PLC0415


def main() -> None:
    """Serve until a signal comes."""
    from fercore.messaging.redis_streams import RedisStreams
    from fercore.service.metrics import Metrics
    from fercore.service.run import serve
    from fercore.service.settings import load
    from fercore.service.tracing import tracing_of
    from services.classifier.settings import ClassifierSettings
    from services.classifier.wiring import create_app, create_backend

    settings = load(ClassifierSettings)
    set_level(settings.log_level)
    queue = RedisStreams(settings.redis_url.get_secret_value())
    with tracing_of("classifier", settings) as tracing:
        backend = create_backend(settings, tracing=tracing)
        app = create_app(settings, queue=queue, backend=backend, metrics=Metrics(), tracing=tracing)
        serve(app, settings)


if __name__ == "__main__":
    with process_log("classifier"):
        main()
