"""Check documents against the schemas that are shipped: `check_document({"schema": "rebalancer.plan/1", ...})`."""

import json
from datetime import datetime, timedelta
from importlib import resources
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

FORMATS = FormatChecker(formats=())


@FORMATS.checks("date-time", raises=ValueError)
def _is_utc(text: object) -> bool:
    """Ours are all in UTC, and say so."""
    return not isinstance(text, str) or (
        text.endswith("Z") and datetime.fromisoformat(text).utcoffset() == timedelta(0)
    )


def schema(name: str) -> dict[str, Any]:
    """The schema `name`, as shipped."""
    text = (resources.files("ibkr_rebalancer") / "schemas" / f"{name}.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


def check_document(document: dict[str, Any]) -> None:
    """Raise ValidationError unless the document is what the schema it names says."""
    name = document["schema"].removeprefix("rebalancer.").removesuffix("/1")
    Draft202012Validator(schema(name), format_checker=FORMATS).validate(document)
