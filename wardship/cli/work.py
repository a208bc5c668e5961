"""What several commands do alike: open the workspace, read connections, tell how it went."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from wardship.cli import kit
from wardship.cli.kit import Run
from wardship.sdk.display import visible
from wardship.sdk.i18n import _, format_number, format_share
from wardship.sdk.words import word

if TYPE_CHECKING:
    from wardship.app import App
    from wardship.cli.render import Progress
    from wardship.sdk.connector import Connection, SetupGuide
    from wardship.sdk.rule import Rule
    from wardship.services.demo import DemoLog
    from wardship.services.formats import Row
    from wardship.services.scan import Outcome
    from wardship.services.story import Story

_NOBODY = "00000000-0000-0000-0000-000000000000"
_JUDGE_EVERY_S = 5.0  # something to read meanwhile, without judging everything after every small system
_READ_FOR_EACH_S_OF_JUDGING = 4.0  # of a large inventory everything is judged less often: at most a fifth goes into it
SEVERITIES = ("critical", "high", "medium", "low", "info")


@contextlib.contextmanager
def progress(run: Run) -> Iterator[Progress]:
    """A progress line on a terminal, taken away at the end."""
    from wardship.cli.render import Progress

    line = Progress(quiet=run.quiet)
    try:
        yield line
    finally:
        line.clear()


@contextlib.contextmanager
def opened(run: Run, *, progress: Callable[[str], None] | None = None) -> Iterator[App]:
    """The workspace of this invocation."""
    from wardship.app import App

    with App.open(run.workspace, progress=progress or _unheard) as app:
        yield app


def ensure_workspace(run: Run) -> None:
    """Makes a workspace where none is found, so that the first scan needs no second command."""
    from wardship import app

    if not app.has_workspace(run.workspace):
        run.workspace = app.new_folder(run.workspace)
        with app.App.create(run.workspace) as made:
            run.note(_("Workspace made in %(path)s") % {"path": made.workspace.path})


def connection(app: App, name: str, settings: Mapping[str, str] | None = None) -> Connection:
    """The stored connection of that name; else connector `name` with the credentials of this machine and `settings`.

    The name under which an import is kept leads to its connector.
    """
    from wardship.sdk import registry
    from wardship.services import connect, scan

    name = scan.connection_of(name)
    stored = {one.name: one for one in connect.stored(app.db)}
    if name not in stored and name in registry.connector_names(app.plugins):
        return app.ambient(name, settings)
    return app.connection(connect.find(app.db, name))


def catalogue(run: Run) -> Sequence[Rule]:
    """The rules in force: those of the workspace where there is one, else ours."""
    from wardship import app as wiring
    from wardship.sdk.rule import load_rules
    from wardship.services import evaluate

    if not wiring.has_workspace(run.workspace):
        return load_rules()
    with opened(run) as app:
        return evaluate.workspace_rules(app.workspace)


def setup_guide(run: Run, name: str, capability: str) -> SetupGuide:
    """The guide for a connector, which needs no workspace, or for a stored connection."""
    from wardship import app as wiring
    from wardship.sdk import registry
    from wardship.sdk.connector import Capability
    from wardship.services import connect

    if name in registry.connector_names():
        # A guide is the same for every connection: what a connector insists on is filled with an id of nobody and
        # with a reference that is never resolved.
        settings = registry.manifest(name).settings
        needed = {
            one.name: "env:NOT_NEEDED" if one.secret else _NOBODY for one in settings if one.required or one.secret
        }
        return connect.setup(wiring.ambient_connection(name, needed), Capability(capability))
    with opened(run) as app:
        return connect.setup(app.connection(connect.find(app.db, name)), Capability(capability), app.plugins)


def tell_story(run: Run, what: str, *, identity: bool = False) -> None:
    """Explains a finding or an identity, for a reader or as rows. `identity` True: identities only."""
    from wardship.services import explain, inventory, rule_folders

    with opened(run) as app, app.facts() as facts:
        rule_of = partial(rule_folders.rule_of, app.workspace)
        if identity:
            uid = inventory.find(facts, what)
            story = explain.identity(app.db, facts, uid, rule_of=rule_of, now=app.clock(), plugins=app.plugins)
        else:
            story = explain.explain(app.db, facts, what, rule_of=rule_of, now=app.clock(), plugins=app.plugins)
    show_story(run, story)


def judge_events(run: Run, app: App, progress: Callable[[str], None] | None = None) -> None:
    """Judges what was just imported, brings use and facts up to date, and tells of new alerts.

    Where another process is at it, that one judges these events too, or the next run does.
    """
    from wardship.model.errors import Conflict
    from wardship.services import telemetry_refresh

    try:
        refreshed = telemetry_refresh.refresh(app.workspace, actor=app.actor, progress=progress or app.progress)
    except Conflict as busy:
        run.warn(visible(busy.message))
        run.warn(_("Next: %(advice)s") % {"advice": busy.advice})
        return
    _clear(app)
    done = refreshed.judged
    for problem in done.problems:
        run.warn(_("a detection could not be asked: %(what)s") % {"what": visible(problem)})
    tell_unasked(run, refreshed.unasked)
    if done.opened or done.changed:
        run.note(
            _("%(opened)s new alerts, %(changed)s that grew: `wardship alerts list`")
            % {"opened": format_number(len(done.opened)), "changed": format_number(len(done.changed))}
        )
    if refreshed.old:
        run.note(
            _("%(n)s events are too old for an alert (policy: alert_days); they only teach what is usual.")
            % {"n": format_number(refreshed.old)}
        )


def learn_events(run: Run, app: App) -> None:
    """Takes what was just imported as what is usual, and brings the facts up to date."""
    from wardship.services import telemetry_refresh

    telemetry_refresh.learn(app.workspace, actor=app.actor)
    judge_again(run, app)


def read_demo_logs(run: Run, app: App, logs: Sequence[DemoLog]) -> None:
    """Imports the logs of the demo and says how many events there were."""
    from wardship.services import demo

    def tell(log: str) -> None:
        app.progress(_("importing %(log)s") % {"log": log})

    old, new = demo.load_logs(app.workspace, logs, actor=app.actor, tell=tell)
    _clear(app)
    run.note(_("Imported a year of audit logs: %(n)s events") % {"n": format_number(old)})
    run.note(_("Imported what arrived since yesterday: %(n)s events") % {"n": format_number(new)})


def show_story(run: Run, story: Story) -> None:
    """A story for a reader, or its lines as rows."""
    if run.format != "table":
        from wardship.services import explain
        from wardship.services.formats import Listing

        kit.emit(run, Listing(name="explanation", columns=explain.COLUMNS, rows=story.rows()))
        return
    from wardship.cli import render

    run.say(render.story(story))


def read_all(
    run: Run, app: App, connections: Sequence[Connection], *, fail_on: str | None = None, gaps_planned: bool = False
) -> int:
    """Scans the connections one after the other, tells the first findings early, and ends with what was seen.

    `gaps_planned`: that some area could not be read is no reason for the exit code of something incomplete.
    """
    from wardship.model.errors import Error
    from wardship.services import evaluate, scan

    evaluate.workspace_rules(app.workspace)  # a bad rule is told before the work, not after it
    told: set[str] = set()
    outcomes: list[Outcome] = []
    asked = True
    judged, wait_s = time.monotonic(), _JUDGE_EVERY_S
    for place, one in enumerate(connections, 1):
        run.note(_("Reading %(name)s (%(connector)s) …") % {"name": one.name, "connector": one.connector})
        try:
            outcome = scan.read(app.workspace, one, app.actor, app.plugins, judge=False)
        except Error:
            if outcomes:  # what was read before it counts
                judge_again(run, app)
            raise
        _clear(app)
        outcomes.append(outcome)
        tell_outcome(run, outcome)
        if place == len(connections) or time.monotonic() - judged >= wait_s:
            began = time.monotonic()
            app.progress(_("judging"))
            asked = judge_again(run, app)
            _clear(app)
            judged = time.monotonic()
            wait_s = max(_JUDGE_EVERY_S, _READ_FOR_EACH_S_OF_JUDGING * (judged - began))
            _tell_new_findings(run, app, told)
    judge_events(run, app)
    return conclude(run, app, outcomes, asked=asked, fail_on=fail_on, gaps_planned=gaps_planned)


def judge_again(run: Run, app: App) -> bool:
    """Writes the facts and judges them: something has just changed them. False: a rule could not be asked; it is told
    which."""
    from wardship.services import evaluate

    return tell_unasked(run, evaluate.again(app.workspace, actor=app.actor).problems)


def tell_unasked(run: Run, problems: Sequence[str]) -> bool:
    """Says of each rule that could not be asked why. True: there is none."""
    for problem in problems:
        run.warn(_("a rule could not be asked, what it found before stays: %(what)s") % {"what": visible(problem)})
        run.warn(_("Next: %(advice)s") % {"advice": _("mend its query, and try it with `wardship rules test`")})
    return not problems


def _unheard(_message: str) -> None:
    """The progress of what is quick."""


def _clear(app: App) -> None:
    clear = getattr(app.progress, "clear", None)
    if clear:
        clear()


def tell_outcome(run: Run, outcome: Outcome) -> None:
    """How reading one connection went: what was read, or why not and what to do."""
    if outcome.error:
        run.warn("  " + _("stopped: %(what)s") % {"what": visible(outcome.error)})
        if outcome.advice:
            run.warn("  " + _("Next: %(advice)s") % {"advice": visible(outcome.advice)})
        return
    run.note(
        "  "
        + _("%(areas)s areas read completely; records: %(items)s; requests: %(calls)s")
        % {
            "areas": format_share(outcome.complete, outcome.areas),
            "items": format_number(outcome.items),
            "calls": format_number(outcome.api_calls),
        }
    )
    if outcome.busy:
        run.warn("  " + _("areas that another scan is reading, left to it: %(n)s") % {"n": format_number(outcome.busy)})
        advice = _("let it end; if it was killed, scan again in a minute, when what it held is free")
        run.warn("  " + _("Next: %(advice)s") % {"advice": advice})


def _tell_new_findings(run: Run, app: App, told: set[str]) -> None:
    """The worst findings that were not told yet, at most five after each connection: something to read meanwhile."""
    from wardship.services import listings

    shown = 0
    with app.facts() as facts:
        for row in listings.findings(app.db, facts, severity="high"):
            if row["uid"] in told:
                continue
            told.add(row["uid"])
            if shown < 5:
                run.note(f"  ! {_in_one_line(row)}")
            shown += 1
    if shown > 5:
        run.note("    " + _("and %(n)d more") % {"n": shown - 5})


def _in_one_line(finding: Row) -> str:
    title, subject = visible(finding["title"], 70), visible(finding["subject"], 50)
    return f"{word('severity', finding['severity'])}: {title}: {subject}"


def conclude(
    run: Run,
    app: App,
    outcomes: Sequence[Outcome],
    *,
    asked: bool,
    fail_on: str | None = None,
    gaps_planned: bool = False,
) -> int:
    """What was seen, what could not be read, the top findings, where to look next; and the exit code.

    `asked` False: a rule could not be asked.
    """
    from wardship.services import alerts, headline, listings, overview

    with app.facts() as facts:
        numbers = headline.compute(app.db, facts, app.clock())
        missing = headline.unread(app.db, facts)
        page = overview.write(app.workspace, facts, app.plugins)
        top = listings.varied(listings.findings(app.db, facts), of_each_rule=1, limit=5)
        alerted = list(itertools.islice(alerts.rows(app.workspace, facts), 3)) if numbers.alerts else []
    gaps = not gaps_planned and any(outcome.complete < outcome.areas for outcome in outcomes)
    run.code = kit.INCOMPLETE if gaps or not asked or any(outcome.error for outcome in outcomes) else kit.DONE
    if fail_on and any(
        n for name, n in numbers.severities.items() if SEVERITIES.index(name) <= SEVERITIES.index(fail_on)
    ):
        run.code = kit.FINDINGS
    run.say()
    run.say(
        _("Coverage      areas read completely: %(share)s")
        % {"share": format_share(numbers.areas_complete, numbers.areas)}
    )
    run.say(
        _("Ownership     identities with an attested owner: %(share)s; a hint that names somebody living: %(hinted)s")
        % {"share": format_share(numbers.owned, numbers.identities), "hinted": format_number(numbers.suggested)}
    )
    run.say(
        _("Credentials   static ones older than a year: %(share)s; age unknown: %(unknown)s")
        % {
            "share": format_share(numbers.static_old, numbers.static_credentials),
            "unknown": format_number(numbers.static_age_unknown),
        }
    )
    counts = ", ".join(f"{format_number(n)} {word('severity', name)}" for name, n in numbers.severities.items())
    run.say(_("Findings      %(counts)s") % {"counts": counts or _("none open")})
    if numbers.use_verdicts:
        told = {name: format_number(numbers.use_verdicts.get(name, 0)) for name in ("used", "unused")}
        run.say(
            _("Use           identities used: %(used)s; unused: %(unused)s; too little known to say: %(insufficient)s")
            % {**told, "insufficient": format_number(numbers.use_untold)}
        )
    if numbers.alerts or numbers.use_verdicts:
        counts = ", ".join(f"{format_number(n)} {word('severity', name)}" for name, n in numbers.alerts.items())
        run.say(_("Alerts        %(counts)s") % {"counts": counts or _("none open")})
    if alerted:
        run.say("\n" + _("Alerts of the highest score"))
        for row in alerted:
            run.say(f"  {_in_one_line(row)}  [{row['uid']}]")
    if top:
        run.say("\n" + _("Top findings"))
        for row in top:
            run.say(f"  {_in_one_line(row)}  [{row['uid']}]")
    if missing:
        run.say("\n" + _("Could not be read"))
        for row in missing[:10]:
            permission = row["missing_permission"]  # a vendor's name of it, or a text of ours where it has none
            need = _("needs %(permission)s") % {"permission": _(permission)} if permission else (row["detail"] or "")
            what = f"{visible(row['system'], 30)}, {visible(row['kind'], 40)}"
            run.say(f"  {what}: {word('status', row['status'])}; {visible(need, 90)}")
        if len(missing) > 10:
            run.say("  " + _("and %(n)d more: `wardship coverage --unread`") % {"n": len(missing) - 10})
    run.say("\n" + _("Overview      %(path)s") % {"path": page})
    run.say(_next(top[0] if top else None, run))
    return run.code


def _next(finding: Row | None, run: Run) -> str:
    place = f" --workspace {run.workspace}" if run.workspace else ""
    what = finding and (finding["subject"] if finding["identity_uid"] else finding["uid"])
    command = f"wardship explain '{visible(what)}'{place}" if what else f"wardship inventory{place}"
    return _("Next          %(command)s") % {"command": command}
