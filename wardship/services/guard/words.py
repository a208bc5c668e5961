"""What a check says about one secret, in the language in force: what it is, why it matters, what to do."""

from __future__ import annotations

from wardship.model.access import CredentialType
from wardship.sdk.display import visible
from wardship.sdk.i18n import _
from wardship.sdk.words import word

DOCS = "https://github.com/wardship/wardship/blob/main/docs/blocking-secrets.md"


def headline(detector: str, kind: CredentialType, name: str | None = None, public_id: str | None = None) -> str:
    """What it is: the kind of credential, the detector, the variable that holds it, its public id. Never the value."""
    text = detector if kind is CredentialType.UNKNOWN else f"{word('type', kind.value)} ({detector})"
    if name:
        text += " " + _("in %(name)s") % {"name": visible(name, 60)}
    if public_id:
        text += f", {visible(public_id, 80)}"
    return text


def risk() -> str:
    """Why it matters."""
    return _(
        "Whoever can read the repository, now or later, can use it; "
        "deleting the line does not take it out of the history."
    )


def remedy() -> str:
    """What to do, the best first."""
    return _(
        "Take it out and read it from the secrets manager or the environment. If it was ever pushed, rotate it first. "
        "If it is no secret, or may stay for a time, accept it with a reason and an end date: "
        "`wardship hook baseline add PATH:LINE --reason ... --expires YYYY-MM-DD`."
    )
