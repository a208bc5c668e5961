"""Finds the plugins. Nothing else in Wardship names a connector module.

Our own connectors are the modules of `wardship.connectors`; a third party's is an entry point of group
`wardship.connectors` and loads only when the settings name it (threat T19).
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import cast

from wardship.model.errors import ConfigError
from wardship.sdk.connector import Manifest
from wardship.sdk.i18n import _
from wardship.sdk.log_mapping import load_log, shipped_log, shipped_names
from wardship.sdk.source import LiveSource, Source, SourceManifest

_PACKAGE = "wardship.connectors"


def connector_names(allowed: Sequence[str] = ()) -> list[str]:
    """Names of the connectors that may be used: ours, and the third parties' that `allowed` names."""
    package = importlib.import_module(_PACKAGE)
    ours = {module.name for module in pkgutil.iter_modules(package.__path__)}
    theirs = {entry.name for entry in entry_points(group=_PACKAGE)} & set(allowed)
    return sorted(ours | theirs)


def connector_module(name: str, allowed: Sequence[str] = ()) -> ModuleType:
    """The module of connector `name`. Raises ConfigError for an unknown or not allowed one."""
    package = importlib.import_module(_PACKAGE)
    if name in {module.name for module in pkgutil.iter_modules(package.__path__)}:
        return importlib.import_module(f"{_PACKAGE}.{name}")
    for entry in entry_points(group=_PACKAGE, name=name):
        if name in allowed:
            module = entry.load()
            if isinstance(module, ModuleType):
                return module
        raise ConfigError(
            _("connector %(name)r comes from another package and is not allowed") % {"name": name},
            advice=_("add %(name)r to `plugins` in the settings if you trust it") % {"name": name},
        )
    raise ConfigError(
        _("no connector is called %(name)r") % {"name": name},
        advice=_("known connectors: %(names)s") % {"names": ", ".join(connector_names(allowed))},
    )


def manifest(name: str, allowed: Sequence[str] = ()) -> Manifest:
    """The manifest of connector `name`. Raises ConfigError as `connector_module`."""
    found = connector_module(name, allowed).MANIFEST
    assert isinstance(found, Manifest)  # noqa: S101 - narrows a plugin's attribute for the type checker
    return found


_SOURCES = "wardship.sources"


def source_names() -> list[str]:
    """Names of the telemetry sources, modules and declared logs: "aws.cloudtrail", "zoom.webhook"."""
    package = importlib.import_module(_SOURCES)
    modules = (
        importlib.import_module(f"{_SOURCES}.{module.name}").MANIFEST.name
        for module in pkgutil.iter_modules(package.__path__)
        if not module.name.startswith("_")
    )
    return sorted({*modules, *shipped_names()})


def source(name: str) -> Source:
    """The source called `name`, or declared by the mapping file at that path (`*.yaml`).

    Raises ConfigError for an unknown one, and for a mapping that says something wrong.
    """
    if name.endswith((".yaml", ".yml")):
        return load_log(Path(name))
    package = importlib.import_module(_SOURCES)
    module = name.replace(".", "_")
    if module in {one.name for one in pkgutil.iter_modules(package.__path__)}:
        found = importlib.import_module(f"{_SOURCES}.{module}")
        if found.MANIFEST.name == name:
            return cast("Source", found)  # a module is one by its names; tests hold each to them
    if name in shipped_names():
        return shipped_log(name)
    known = source_names()
    near = difflib.get_close_matches(name[:80], known, n=3)
    raise ConfigError(
        _("no telemetry source is called %(name)r") % {"name": name[:80]},
        advice=_("perhaps %(names)s; all of them: wardship telemetry sources") % {"names": ", ".join(near)}
        if near
        else _("known sources: %(names)s") % {"names": ", ".join(known)},
    )


def is_log(name: str) -> bool:
    """Whether `name` is a source that is connected by its own name, because no connector reads its system."""
    if name not in source_names():
        return False
    found = source(name)
    return found.MANIFEST.connector is None and isinstance(found, LiveSource)


def connectable(name: str, allowed: Sequence[str] = ()) -> Manifest | SourceManifest:
    """What a connection may be made with: a connector, or a log of a system that has none. Raises ConfigError."""
    if name not in connector_names(allowed) and is_log(name):
        return source(name).MANIFEST
    return manifest(name, allowed)
