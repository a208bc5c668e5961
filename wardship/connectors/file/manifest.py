"""What reading files needs, and what files cannot tell."""

from __future__ import annotations

from wardship.sdk.connector import BlindSpot, Capability, Evidence, Manifest, Permission, Setting
from wardship.sdk.i18n import N_

MANIFEST = Manifest(
    name="file",
    title="Files (CSV, JSON, YAML, XLSX, LDIF, SQL)",
    systems=("file_source",),
    permissions={
        Capability.DISCOVER: (
            Permission(
                name=N_("read the files"), why=N_("the files, or one SELECT of a database, are all that is read")
            ),
        ),
        Capability.IMPORT: (),
    },
    settings=(
        Setting(name="path", help=N_("the file, or a pattern for several (exports/*.csv); read anew at every scan")),
        Setting(name="mapping", help=N_("the mapping file that says what its columns mean, or a shipped one's name")),
        Setting(
            name="url",
            help=N_("for a mapping of format postgresql: the database's URL with user and password, as a reference"),
            secret=True,
        ),
    ),
    blind_spots=(
        BlindSpot(
            id="file.as_of_export",
            text=N_("A file says what was true when it was written; what changed since then is not seen."),
        ),
        BlindSpot(
            id="file.declared_meaning",
            text=N_("What a column means is declared by a person in the mapping; a wrong declaration is not noticed."),
        ),
        BlindSpot(
            id="file.population",
            text=N_(
                "Whether a file is the whole population is declared, not known; without that nothing counts as gone."
            ),
        ),
    ),
    unavailable={"act": N_("a file is changed by whoever keeps it")},
    evidence=Evidence.DOCUMENTATION,
    imports=(
        N_("CSV, TSV, JSON, JSON lines, YAML, XLSX, LDIF or SQLite with a mapping file (mapping=FILE)"),
        N_("recognised exports of other tools, without a mapping"),
    ),
    links=("https://www.rfc-editor.org/rfc/rfc4180", "https://www.rfc-editor.org/rfc/rfc2849"),
)
