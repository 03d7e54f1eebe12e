"""The JSON Schemas of the events' details, `docs/events/*.json`, by detail-type."""

import json
from pathlib import Path
from typing import Any, Final

from jsonschema_rs import Draft202012Validator

FOLDER: Final = Path(__file__).parents[1] / "docs" / "events"

SCHEMAS: Final[dict[str, dict[str, Any]]] = {
    schema["title"]: schema
    for schema in (json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.json")))
}

_VALIDATORS: Final = {
    detail_type: Draft202012Validator(schema, validate_formats=True) for detail_type, schema in SCHEMAS.items()
}


def faults(detail_type: str, detail: object) -> list[str]:
    """What in a detail does not agree with the schema of its detail-type."""
    return [
        f"{'/'.join(map(str, error.instance_path))}: {error.message}"
        for error in _VALIDATORS[detail_type].iter_errors(detail)
    ]
