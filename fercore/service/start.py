"""Start a service as a process: the only place that reads the environment.

It imports next to nothing itself, so that warnings and errors of what the service imports reach the JSON log.
"""

import importlib

from fercore.service.process_log import process_log, set_level


def start(wiring: str) -> None:
    """Serve until a signal comes.

    Args:
        wiring: a module `services.<name>.wiring`. It offers `Settings`, a class of settings,
            `create_process(settings, tracing=...)`, which makes the application and all that it needs, and
            `BANNER` if a person at a terminal is to read one. WebSockets are open where the settings say
            how (`WebSocketSettings`).

    Raises:
        SystemExit: a setting is wrong, the address cannot be bound, or the application failed.
    """
    service = wiring.split(".")[1]
    with process_log(service):
        # ruff: noqa: PLC0415 - imported here, see above
        from fercore.service.run import serve
        from fercore.service.settings import WebSocketSettings, load
        from fercore.service.tracing import tracing_of

        module = importlib.import_module(wiring)
        settings = load(module.Settings)
        set_level(settings.log_level)
        with tracing_of(service, settings) as tracing:
            serve(
                module.create_process(settings, tracing=tracing),
                settings,
                banner=getattr(module, "BANNER", None),
                websockets=settings if isinstance(settings, WebSocketSettings) else None,
            )
