"""Start all in one process: `python -m services.allinone`. The only place that reads the environment."""

from fercore.service.process_log import process_log, set_level

# what is imported may warn or fail, and that shall be told in the log: it is imported in `main`
# ruff: noqa: PLC0415

BANNER = "listening on {url} (stop with Ctrl-C); try: curl -F file=@photo.jpg {url}/predict"


def main() -> None:
    """Serve until a signal comes."""
    from fercore.service.metrics import Metrics
    from fercore.service.run import serve
    from fercore.service.settings import load
    from fercore.service.tracing import tracing_of
    from services.allinone.settings import AllInOneSettings
    from services.allinone.wiring import create_app
    from services.classifier.wiring import create_backend

    settings = load(AllInOneSettings)
    set_level(settings.log_level)
    with tracing_of("allinone", settings) as tracing:
        backend = create_backend(settings, tracing=tracing)
        app = create_app(settings, backend=backend, metrics=Metrics(), tracing=tracing)
        serve(app, settings, banner=BANNER, websockets=settings)


if __name__ == "__main__":
    with process_log("allinone"):
        main()
