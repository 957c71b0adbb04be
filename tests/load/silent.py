"""The product in one process, with metrics that forget: what `python -m services.allinone` is compared to.

Nothing else is left out, and no setting of the product turns metrics off.
"""

from typing import Self

from prometheus_client.metrics import MetricWrapperBase

from fercore.service.metrics import Metrics
from fercore.service.process_log import process_log, set_level
from fercore.service.run import serve
from fercore.service.settings import load
from services.allinone.settings import AllInOneSettings
from services.allinone.wiring import create_app
from services.classifier.wiring import create_backend


class Forgetful:
    """Takes whatever a metric is told."""

    def __getattr__(self, method: str) -> "Forgetful":
        return self

    def __call__(self, *values: object) -> Self:
        return self


class NoMetrics(Metrics):
    """All metrics, and not one of them counts."""

    def __init__(self) -> None:
        super().__init__()
        for name, metric in list(vars(self).items()):
            if isinstance(metric, MetricWrapperBase):
                setattr(self, name, Forgetful())


def main() -> None:
    """Serve until a signal comes."""
    settings = load(AllInOneSettings)
    set_level(settings.log_level)
    app = create_app(settings, backend=create_backend(settings), metrics=NoMetrics())
    serve(app, settings, websockets=settings)


if __name__ == "__main__":
    with process_log("allinone"):
        main()
