"""Start the gateway: `python -m services.gateway`. The only place that reads the environment."""

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
    from fercore.state.memory import InMemoryState
    from fercore.state.redis import RedisState
    from services.gateway.settings import GatewaySettings
    from services.gateway.wiring import create_app

    settings = load(GatewaySettings)
    set_level(settings.log_level)
    queue = RedisStreams(settings.redis_url.get_secret_value())
    state_url = settings.state_url.get_secret_value()
    store = RedisState(state_url) if state_url else InMemoryState()
    redises = {"queue": queue.vitals}
    if isinstance(store, RedisState):
        redises["state"] = store.vitals
    with tracing_of("gateway", settings) as tracing:
        app = create_app(
            settings, queue=queue, metrics=Metrics(), store=store, redises=redises, tracing=tracing
        )
        serve(app, settings, websockets=settings)


if __name__ == "__main__":
    with process_log("gateway"):
        main()
