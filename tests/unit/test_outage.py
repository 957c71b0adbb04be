"""An outage is two lines of the log, however long it lasts."""

import logging

from fercore.outage import Outage


def test_an_outage_is_logged_once_when_it_begins_and_once_when_it_ends(caplog):
    outage = Outage(logging.getLogger("test"), away="it is away", back="it is back", redis="queue")
    outage.ends()
    for reason in ("refused", "timed out"):
        outage.begins(reason)
    assert outage.is_on
    for _ in range(2):
        outage.ends()
    assert not outage.is_on
    outage.begins("again")
    told = [
        (line.levelname, line.message, line.redis, getattr(line, "reason", None)) for line in caplog.records
    ]
    assert told == [
        ("WARNING", "it is away", "queue", "refused"),
        ("WARNING", "it is back", "queue", None),
        ("WARNING", "it is away", "queue", "again"),
    ]
