"""`wardship sigma`: our detections for other tools."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from wardship.cli import kit
from wardship.cli.kit import Run
from wardship.sdk.i18n import N_


def add_to(root: kit.Group) -> None:
    sigma = kit.group(
        root,
        "sigma",
        help=N_("Take the detections along to another tool, as Sigma rules."),
        examples=("wardship sigma export sigma-rules",),
    )

    @kit.command(
        sigma,
        "export",
        help=N_("Write the detections that Sigma can say as its rules, and tell of the others why not."),
        examples=("wardship sigma export sigma-rules", "wardship sigma export sigma-rules --output json"),
        rows=True,
    )
    @kit.argument(
        "folder", help=N_("The folder for the rules; it is made."), type=click.Path(file_okay=False, path_type=Path)
    )
    def export(run: Run, folder: Path) -> None:
        from wardship.sdk.detection import load_detections
        from wardship.services import sigma as service
        from wardship.services.formats import Listing

        with tempfile.TemporaryDirectory() as scratch:
            pack = service.make_pack(load_detections(), Path(scratch))
        service.write_pack(pack, folder)
        kit.emit(run, Listing(name="sigma", columns=service.COLUMNS, rows=service.rows(pack)))
