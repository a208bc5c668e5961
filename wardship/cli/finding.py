"""`wardship findings` and `wardship explain`: what is wrong, why, and what to do about it."""

from __future__ import annotations

import click

from wardship.cli import kit, work
from wardship.cli.kit import Run
from wardship.sdk.i18n import N_, _


def add_to(root: kit.Group) -> None:
    @kit.command(
        root,
        "findings",
        help=N_("List the findings, worst first."),
        examples=(
            "wardship findings",
            "wardship findings --severity high --output json",
            "wardship findings --fail-on critical",
        ),
        rows=True,
    )
    @kit.option("--severity", type=click.Choice(work.SEVERITIES), help=N_("Only this severity or worse."))
    @kit.option("--rule", metavar=N_("RULE"), help=N_("Only findings of this rule."))
    @kit.option(
        "--state",
        type=click.Choice(["open", "reopened", "closed", "accepted"]),
        help=N_("Only this state (default: what is open)."),
    )
    @kit.option(
        "--fail-on",
        type=click.Choice(work.SEVERITIES),
        help=N_("Leave with code 1 when an open finding is this severe or worse."),
    )
    def findings(run: Run, severity: str | None, rule: str | None, state: str | None, fail_on: str | None) -> int:
        from wardship.services import listings
        from wardship.services.formats import Listing

        with work.opened(run) as app, app.facts() as facts:
            rows = listings.findings(app.db, facts, severity=severity, rule=rule, state=state)
            kit.emit(
                run,
                Listing(
                    name="findings",
                    columns=listings.FINDING_COLUMNS,
                    rows=rows,
                    about=listings.about(facts, app.actor, app.clock()),
                ),
                empty=_("No finding."),
            )
            failed = fail_on is not None and any(True for _row in listings.findings(app.db, facts, severity=fail_on))
        return kit.FINDINGS if failed else kit.DONE

    @kit.command(
        root,
        "explain",
        help=N_("Tell why a finding is there, what breaks, and the exact steps; or the whole story of an identity."),
        examples=("wardship explain 'AcmeIntegrator SaaS'", "wardship explain fi_k5q2m6w4r3t7u5v6x7y2"),
        rows=True,
    )
    @kit.argument("what", help=N_("A finding's id, or the id or name of an identity."))
    def explain(run: Run, what: str) -> None:
        work.tell_story(run, what)
