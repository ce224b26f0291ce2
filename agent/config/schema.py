"""The JSON Schema of the file, for editors."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from agent.config.cross.names import NAME
from agent.config.settings import Settings
from agent.config.texts import duration_text

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _Generator(GenerateJsonSchema):
    """Defaults as people write them."""

    def encode_default(self, dft: Any) -> Any:
        """A duration with its unit; nothing for what has defaults of its own."""
        if isinstance(dft, float):
            return duration_text(dft)
        return dft if isinstance(dft, str | int) else None


def schema() -> dict[str, Any]:
    """The scheme as JSON Schema 2020-12. Cross-references are beyond it: `check` knows them."""
    found: dict[str, Any] = _mended(Settings.model_json_schema(by_alias=True, schema_generator=_Generator))
    return {"$schema": _DIALECT, **found, "title": "Configuration of the router"}


def _mended(part: Any) -> Any:
    """Names in their form; no titles, which only repeat the keys; no default where it is nothing."""
    if isinstance(part, list):
        return [_mended(item) for item in part]
    if not isinstance(part, dict):
        return part
    mended = {key: _mended(value) for key, value in part.items() if key != "title" or not isinstance(value, str)}
    if "default" in mended and mended["default"] is None:
        del mended["default"]
    if isinstance(mended.get("additionalProperties"), dict):
        mended["propertyNames"] = {"pattern": f"^{NAME.pattern}$"}
    return mended
