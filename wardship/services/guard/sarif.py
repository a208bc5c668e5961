"""The result of a check as SARIF 2.1.0 (OASIS standard, 27 March 2020), which code hosts show beside the code.

No text of the code is in it: no snippet, no value. `partialFingerprints` come from the text around the value, so they
follow a line that moves and cannot be turned back into a password by trying (ADR 0020).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote_from_bytes

from wardship import __version__
from wardship.model.exposure import DetectorTier
from wardship.sdk.i18n import _, language
from wardship.services.guard.check import Finding, Outcome, State
from wardship.services.guard.words import DOCS, headline, remedy, risk

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {State.BLOCKED: "error", State.PRESENT: "warning", State.ACCEPTED: "note"}
_SCORE = {DetectorTier.PROVIDER: "9.0", DetectorTier.GENERIC: "7.0"}  # GitHub: 9.0 and above is critical, 7.0 high


def report(outcome: Outcome, *, repository: str, commit: str | None, stage: str) -> dict[str, Any]:
    """The SARIF log of one run."""
    rules: dict[str, dict[str, Any]] = {}
    for finding in outcome.findings:
        rules.setdefault(finding.detector, _rule(finding))
    order = {name: place for place, name in enumerate(rules)}
    seen: dict[str, int] = {}
    run: dict[str, Any] = {
        "tool": {
            "driver": {
                "name": "wardship",
                "version": __version__,
                "semanticVersion": __version__,
                "informationUri": DOCS,
                "language": language(),
                "rules": list(rules.values()),
            }
        },
        "automationDetails": {"id": f"wardship/hook/{stage}/"},
        "invocations": [
            {
                "executionSuccessful": True,
                "toolExecutionNotifications": [
                    {
                        "level": "warning",
                        "message": {"text": _("%(path)s was not looked into: %(why)s") % {"path": path, "why": why}},
                    }
                    for path, why in outcome.unread
                ],
            }
        ],
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {"ROOT": {"description": {"text": _("The root of the repository")}}},
        "results": [_result(one, order, seen) for one in outcome.findings],
    }
    if commit:
        run["versionControlProvenance"] = [{"repositoryUri": _uri(repository), "revisionId": commit}]
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(finding: Finding) -> dict[str, Any]:
    return {
        "id": finding.detector,
        "name": "".join(part.capitalize() for part in finding.detector.replace(".", "_").split("_")),
        "shortDescription": {"text": headline(finding.detector, finding.type)},
        "fullDescription": {"text": risk()},
        "help": {"text": remedy()},
        "helpUri": DOCS,
        "defaultConfiguration": {"level": "error"},
        "properties": {
            "tags": ["security", "secret", "NHI2:2025", "external/cwe/cwe-798"],
            "security-severity": _SCORE[finding.tier],
            "tier": finding.tier.value,
        },
    }


def _result(finding: Finding, order: dict[str, int], seen: dict[str, int]) -> dict[str, Any]:
    nth = seen[finding.place] = seen.get(finding.place, 0) + 1
    text = headline(finding.detector, finding.type, finding.name, finding.public_id)
    result: dict[str, Any] = {
        "ruleId": finding.detector,
        "ruleIndex": order[finding.detector],
        "level": _LEVELS[finding.state],
        "message": {"text": f"{text}. {finding.note}" if finding.note else f"{text}."},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": quote_from_bytes(finding.path, safe="/"), "uriBaseId": "ROOT"},
                    "region": {"startLine": finding.line, "startColumn": finding.column},
                }
            }
        ],
        "partialFingerprints": {"wardshipPlace/v1": f"{finding.place}:{nth}"},
        "baselineState": "new" if finding.state is State.BLOCKED else "unchanged",
        "rank": round(100 * finding.confidence, 1),
        "properties": {"confidence": round(finding.confidence, 3), "commit": finding.commit},
    }
    if finding.state is State.ACCEPTED:
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": finding.note}]
    return result


def _uri(repository: str) -> str:
    return f"https://{repository.removeprefix('git:')}"
