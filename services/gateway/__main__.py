"""Start the gateway: `python -m services.gateway`. The only place that reads the environment."""

from fercore.messaging.redis_streams import RedisStreams
from fercore.service.logging import configure
from fercore.service.metrics import Metrics
from fercore.service.run import serve
from fercore.service.settings import load
from services.gateway.settings import GatewaySettings
from services.gateway.wiring import create_app


def main() -> None:
    """Serve until a signal comes."""
    settings = load(GatewaySettings)
    configure("gateway", settings.log_level)
    queue = RedisStreams(settings.redis_url.get_secret_value())
    serve(create_app(settings, queue=queue, metrics=Metrics()), settings, websockets=settings)


if __name__ == "__main__":
    main()
