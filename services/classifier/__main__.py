"""Start the classifier: `python -m services.classifier`. The only place that reads the environment."""

from fercore.messaging.redis_streams import RedisStreams
from fercore.service.logging import configure
from fercore.service.metrics import Metrics
from fercore.service.run import serve
from fercore.service.settings import load
from fercore.service.tracing import tracing_of
from services.classifier.settings import ClassifierSettings
from services.classifier.wiring import create_app, create_backend


def main() -> None:
    """Serve until a signal comes."""
    settings = load(ClassifierSettings)
    configure("classifier", settings.log_level)
    queue = RedisStreams(settings.redis_url.get_secret_value())
    backend = create_backend(settings)
    with tracing_of("classifier", settings) as tracing:
        app = create_app(settings, queue=queue, backend=backend, metrics=Metrics(), tracing=tracing)
        serve(app, settings)


if __name__ == "__main__":
    main()
