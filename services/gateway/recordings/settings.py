"""Settings of recordings."""

from typing import Annotated

from pydantic import Field

from fercore.service.settings import StateSettings


class RecordingSettings(StateSettings):
    """How long recordings are kept, and where."""

    session_lifetime_s: Annotated[
        float,
        Field(ge=60, le=31_536_000, description="Seconds that a session is kept after it was last written"),
    ] = 86_400.0
