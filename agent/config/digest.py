"""The fingerprint by which nodes see that they run the same configuration."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from agent.config.scheme import keys_of
from agent.config.settings import Settings

# A node's environment may override these: nodes that differ here still run one configuration.
_OWN = frozenset({"bus", "log"})


def config_digest(settings: Settings) -> str:
    """SHA-256 (hex) of the canonical settings, without `bus` and `log`.

    Canonical: defaults filled in, values as text, keys sorted. So comments, order of keys, quotes and the path of the
    file make no difference.
    """
    canonical = {key: _canonical(getattr(settings, key)) for key in keys_of(Settings) if key not in _OWN}
    return hashlib.sha256(json.dumps(canonical, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _canonical(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return {name: _canonical(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Mapping):
        return {key: _canonical(inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        return [_canonical(inner) for inner in value]
    return value if value is None or isinstance(value, bool | int | float) else str(value)
