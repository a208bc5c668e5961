"""Whether a repository is guarded, for `wardship hook status`."""

from __future__ import annotations

from wardship.sdk.i18n import N_
from wardship.services.formats import Column, Row
from wardship.services.guard import install, spool
from wardship.services.guard.git import Repository

COLUMNS = (
    Column(name="repository", label=N_("Repository")),
    Column(name="installed", label=N_("Hooks")),
    Column(name="missing", label=N_("Missing")),
    Column(name="version", label=N_("Version")),
    Column(name="last_run_at", label=N_("Last run")),
    Column(name="runs", label=N_("Runs"), type="integer"),
    Column(name="blocked", label=N_("Blocked"), type="integer"),
    Column(name="bypassed", label=N_("Went past"), type="integer"),
    Column(name="everywhere", label=N_("For all repositories"), type="boolean", screen=False),
    Column(name="folder", label=N_("Folder"), screen=False),
)


def row(repository: Repository) -> Row:
    """One repository. The figures are those of its spool, which is bounded: of the last few thousand runs."""
    found = install.status(repository)
    runs = {str(run.get("id")): run for run in spool.read_last(repository.common)}.values()
    times = [at for run in runs if isinstance(at := run.get("run_at"), str)]
    return {
        "repository": repository.name,
        "installed": ", ".join(found.stages) or None,
        "missing": ", ".join(found.missing) or None,
        "version": ", ".join(sorted(set(found.stages.values()))) or None,
        "last_run_at": max(times, default=None),
        "runs": len(runs),
        "blocked": sum(n for run in runs if isinstance(n := run.get("blocked"), int)),
        "bypassed": sum(1 for run in runs if run.get("bypassed") is True),
        "everywhere": found.everywhere,
        "folder": str(found.folder),
    }
