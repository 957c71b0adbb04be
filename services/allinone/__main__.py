"""Start all in one process: `python -m services.allinone`. The only place that reads the environment."""

from fercore.service.logging import configure
from fercore.service.metrics import Metrics
from fercore.service.run import serve
from fercore.service.settings import load
from fercore.service.tracing import tracing_of
from services.allinone.settings import AllInOneSettings
from services.allinone.wiring import create_app
from services.classifier.wiring import create_backend

BANNER = "listening on {url} (stop with Ctrl-C); try: curl -F file=@photo.jpg {url}/predict"


def main() -> None:
    """Serve until a signal comes."""
    settings = load(AllInOneSettings)
    configure("allinone", settings.log_level)
    with tracing_of("allinone", settings) as tracing:
        app = create_app(settings, backend=create_backend(settings), metrics=Metrics(), tracing=tracing)
        serve(app, settings, banner=BANNER, websockets=settings)


if __name__ == "__main__":
    main()
