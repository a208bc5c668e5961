"""The policy file: thresholds of one workspace in YAML, each named as the field of `wardship.model.policy.Policy`.

What the file does not name keeps its default; a map (`max_age_days`) is given whole or in part.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from wardship.model.policy import Policy, ThresholdError
from wardship.sdk.i18n import _
from wardship.sdk.yaml_file import read_yaml_file


def load_policy(path: Path) -> Policy:
    """The policy of a file. Raises ConfigError that names file, line and threshold."""
    told = read_yaml_file(path)
    if told.data is None:
        return Policy()
    if not isinstance(told.data, dict):
        raise told.error((), _("a policy is a mapping of thresholds"), _("see docs/policy.md"))
    default = Policy()
    names = [threshold.name for threshold in fields(Policy)]
    values: dict[str, Any] = {}
    for name, value in told.data.items():
        if name not in names:
            raise told.error((name,), _("no such threshold"), _("thresholds: %(names)s") % {"names": ", ".join(names)})
        usual = getattr(default, name)
        if isinstance(usual, dict) != isinstance(value, dict):
            raise told.error(
                (name,),
                _("%(value)s does not fit") % {"value": repr(value)},
                _("write it like the default: %(usual)s") % {"usual": repr(usual)},
            )
        values[name] = {**usual, **value} if isinstance(usual, dict) else value
    try:
        return Policy(**values)
    except ThresholdError as error:
        named = next((name for name in values if name in error.message), None)
        raise told.error(
            (named,) if named else (), _(error.text) % error.values, _(error.hint) % error.values
        ) from None


def policy_schema() -> dict[str, Any]:
    """JSON Schema of a policy file."""
    days = {"type": "integer", "minimum": 0, "maximum": 36_500}
    properties: dict[str, Any] = {}
    default = Policy()
    for threshold in fields(Policy):
        usual = getattr(default, threshold.name)
        properties[threshold.name] = (
            {
                "type": "object",
                "additionalProperties": False,
                "properties": {key: {**days, "default": value} for key, value in usual.items()},
            }
            if isinstance(usual, dict)
            else {**days, "default": usual}
        )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Wardship policy",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }
