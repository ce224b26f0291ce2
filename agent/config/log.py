"""`log`: what the agents say of themselves."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agent.config.base import Noun


class Log(Noun):
    """Logging of the agents."""

    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="the least to be said")
    format: Literal["auto", "console", "json"] = Field(
        default="auto", description="`auto`: console on a terminal, JSON otherwise"
    )
