"""The format of a hunt: a question to the logs that a person asks, one YAML file each, with how to read the answer.

A hunt judges nothing. It asks the activities of a time (`activity`, from `:since` on), the state of use and the facts,
and puts the rows in an order that is worth reading from the top. Each result has `identity_uid` (NULL: the inventory
does not know it), so that a hunt can be asked about one identity. The format is checked as a rule's is.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from wardship.model.activity import ACTIVITY
from wardship.model.baseline import STATE
from wardship.model.facts import FACTS
from wardship.model.policy import PARAMETERS
from wardship.sdk.fact_query import FactQuery, Language, compile_query
from wardship.sdk.i18n import _
from wardship.sdk.rule import RULE_ID, Asking, Text, check_name, validated
from wardship.sdk.yaml_file import read_yaml_file

BUILT_IN = Path(__file__).resolve().parents[1] / "data" / "hunts"
LANGUAGE = Language(tables={"activity": ACTIVITY, **STATE, **FACTS}, sequences=True, ordered=True)
CLASSES = (
    "service_account",
    "oauth_app",
    "api_key",
    "managed_identity",
    "ci",
    "kubernetes",
    "ai_agent",
    "supplier",
    "any",
)


class Hunt(Asking):
    """One hunt. Every text is an English message id."""

    id: Annotated[str, StringConstraints(pattern=RULE_ID)]
    """Its name for ever; the file is called <id>.yaml."""
    title: Text
    """The question, as a short sentence."""
    identity_class: Literal[*CLASSES]  # type: ignore[valid-type] # a Literal of our own tuple
    """Which identities it is about."""
    how_to_read: Text
    """What a row means, which rows are worth a look and which are usual."""
    next_steps: Annotated[list[Text], Field(min_length=1)]
    """What to do with a row that is worth it."""
    limits: Annotated[list[Text], Field(min_length=1)]
    """What it cannot see."""
    query: str
    """One SELECT in DuckDB's dialect; ORDER BY puts first what is to be read first. `:since` is where to begin."""

    def _checked(self) -> FactQuery:
        return compile_query(self.query, parameters=PARAMETERS | {"since"}, language=LANGUAGE)

    def messages(self) -> Iterator[str]:
        """Every text that is shown, for the message catalogue."""
        yield from (self.title, self.how_to_read, *self.next_steps, *self.limits)


def load_hunts(folder: Path = BUILT_IN) -> list[Hunt]:
    """The hunts of a folder, by id. Raises ConfigError for the first bad file."""
    return [load_hunt(path) for path in sorted(folder.glob("*.yaml"))]


def load_hunt(path: Path) -> Hunt:
    """One hunt. Raises ConfigError that names file, line and field."""
    told = read_yaml_file(path)
    hunt = validated(told, Hunt, _("see docs/alerts.md"))
    check_name(hunt.id, told, path)
    if "identity_uid" not in hunt.compiled.columns:
        raise told.error(
            ("query",),
            _("the result has no %(column)s") % {"column": "identity_uid"},
            _("select it, or NULL where the inventory does not know it"),
        )
    return hunt


def hunt_messages(folder: Path = BUILT_IN) -> Iterator[tuple[str, str]]:
    """(place, message) of every text that is shown, for the message catalogue."""
    for hunt in load_hunts(folder):
        yield from ((f"data/hunts/{hunt.id}.yaml", message) for message in hunt.messages())
