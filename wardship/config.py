"""The settings of a workspace: one YAML file, overridden by the environment; secrets only as references.

`workspace.yaml` lies in the workspace folder. Every setting may also come from the environment, with the prefix
WARDSHIP_ and two underscores between levels: WARDSHIP_AUDIT__CHECKPOINT_COPY. The JSON Schema for editors is
`docs/schema/settings.schema.json`, made by `settings_schema`. Thresholds are not settings: they are in the policy file.

Pydantic is heavy: import this module where settings are read, not where commands are declared.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from wardship.model.errors import ConfigError
from wardship.model.secret import Secret
from wardship.sdk.i18n import _

MAX_FILE_BYTES = 1_000_000
KNOWN_PERIODS = ("month_end", "quarter_end", "year_end")
"""Business periods that need no dates; `wardship.analysis.calendar` says when they are."""
_MAX_DEPTH = 20
_REFERENCE = re.compile(r"(env|file):(.+)", re.DOTALL)
_SECRET_PARAMETER = re.compile(r"[;?&](?:token|password|passwd|pwd|sslpassword|access_token)=", re.IGNORECASE)
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _without_password(value: str) -> str:
    """A URL, or a reference to one; never a URL with a password or token in it, before the host or as a parameter. (The
    message must not repeat the value.)"""
    if _REFERENCE.fullmatch(value):
        return value
    try:
        password = urlsplit(value).password
    except ValueError:
        raise ValueError("not a URL") from None
    if password or _SECRET_PARAMETER.search(value):
        raise ValueError("holds a password: keep the whole URL in env:NAME or file:/path and give that")
    return value


UrlOrReference = Annotated[str, AfterValidator(_without_password)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True)


class AuditSettings(_Strict):
    """The audit log."""

    checkpoint_copy: Path | None = None
    """File, on another machine's or append-only storage, to which every signed checkpoint is also appended. Without it
    nobody can prove that the newest part of the log was not cut off. None: no copy."""


class WorkerSettings(_Strict):
    """The background worker, `wardship worker`."""

    lease_s: Annotated[int, Field(ge=5, le=3600)] = 30
    """Seconds after which the job of a worker that died is taken by another."""
    poll_s: Annotated[float, Field(ge=0.05, le=300)] = 2.0
    """Seconds between two looks for due jobs."""


class FactsSettings(_Strict):
    """Fact snapshots, one after every scan."""

    keep_snapshots: Annotated[int, Field(ge=1, le=100_000)] = 90
    """The newest so many snapshots are kept, and every one that an open finding rests on; the worker removes others."""


class BusinessPeriodSettings(_Strict):
    """A time of the year when things run that do not run otherwise."""

    name: str
    """month_end, quarter_end or year_end; or a name of your own with `first` and `last`."""
    first: Annotated[str, Field(pattern=r"^(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$")] | None = None
    """First day, as MM-DD."""
    last: Annotated[str, Field(pattern=r"^(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$")] | None = None
    """Last day, as MM-DD; before `first` it lies in the next year."""
    process: str | None = None
    """It concerns only identities of this business process. None: all."""

    @model_validator(mode="after")
    def _has_days(self) -> Self:
        if (self.first is None) != (self.last is None) or (self.first is None and self.name not in KNOWN_PERIODS):
            raise ValueError(f"give `first` and `last`, or one of the names {', '.join(KNOWN_PERIODS)}")
        return self


class TelemetrySettings(_Strict):
    """Audit logs: where they are asked, and what addresses mean (docs/telemetry.md)."""

    engine: Literal["duckdb", "spark", "clickhouse"] = "duckdb"
    """Who answers questions about events: DuckDB in this process, a Spark cluster, or ClickHouse."""
    url: UrlOrReference | None = None
    """Where that engine is: sc://host:15002 for Spark Connect, http://host:8123 for ClickHouse. None with `clickhouse`:
    its engine in this process (chdb)."""
    tables: Path | None = None
    """SQL file with one SELECT that gives the columns of `activity` from tables that the engine has already. None: the
    events are the workspace's own Parquet files, which the engine must be able to read."""
    networks: Path | None = None
    """CSV file of your networks (network,name,country,asn,environment): what an address is called; relative to the
    workspace folder. None: none are declared."""
    asn_database: Path | None = None
    """MMDB file with the autonomous system of each network. None: systems are unknown."""
    country_database: Path | None = None
    """MMDB file with the country of each network. None: countries are unknown."""
    calendar: tuple[BusinessPeriodSettings, ...] = (BusinessPeriodSettings(name="quarter_end"),)
    """Business periods whose last occurrence must have been watched before something may be called unused."""
    memory_mb: Annotated[int, Field(ge=256, le=1_000_000)] = 1024
    """Memory in MB that DuckDB may take for events; what needs more is spilled into the workspace folder."""
    keep_days: Annotated[int, Field(ge=30, le=36_500)] = 400
    """Days that events are kept; the worker removes older ones. A year and a month shows the same season again."""


class Settings(BaseSettings):
    """Settings of one Wardship workspace (workspace.yaml)."""

    model_config = SettingsConfigDict(
        env_prefix="WARDSHIP_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
        title="Wardship settings",
    )

    language: Literal["en", "es"] | None = None
    """Language of what is shown and written. None: that of the environment (LANG)."""
    database_url: UrlOrReference | None = None
    """Reference (env:NAME, file:/path) to a PostgreSQL URL, or the URL itself if it holds no password. None: SQLite in
    the workspace folder."""
    plugins: tuple[str, ...] = ()
    """Names of connectors from other packages that may be loaded. Others are refused: they would see credentials."""
    policy: Path | None = None
    """Policy file with the thresholds; relative to the workspace folder. None: the built-in policy."""
    rules: tuple[Path, ...] = (Path("rules"),)
    """Folders with your own rules, in the format of docs/writing-rules.md; relative to the workspace folder. The
    default folder need not exist."""
    audit: AuditSettings = AuditSettings()
    """The audit log."""
    facts: FactsSettings = FactsSettings()
    """Fact snapshots, one after every scan."""
    telemetry: TelemetrySettings = TelemetrySettings()
    """Audit logs."""
    worker: WorkerSettings = WorkerSettings()
    """The background worker."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file (whose content `load_settings` passes in); there is nothing else."""
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings


def load_settings(path: Path) -> Settings:
    """Reads the settings file. Raises ConfigError naming the setting, never its value. A missing file is an error."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(_("%(path)s is too large for a settings file") % {"path": path})
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            _("the settings %(path)s cannot be read: %(reason)s") % {"path": path, "reason": error.strerror},
            advice=_("make a workspace with `wardship init`"),
        ) from None
    except UnicodeDecodeError:
        raise _not_yaml(path, None) from None
    return parse_settings(text, path)


def parse_settings(text: str, path: Path) -> Settings:
    """The settings that `text` holds; `path` is only named in errors. Raises ConfigError as `load_settings`."""
    loaded = _plain_yaml(text, path)
    if loaded is not None and not isinstance(loaded, dict):
        raise ConfigError(
            _("the settings %(path)s are not a mapping of names to values") % {"path": path},
            advice=_("write one `name: value` a line"),
        )
    try:
        return Settings(**{str(name): value for name, value in (loaded or {}).items()})
    except ValidationError as error:
        raise _explained(error, path) from None


def _explained(error: ValidationError, path: Path) -> ConfigError:
    problem = error.errors(include_input=False, include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        names = list(_names(Settings))
        close = difflib.get_close_matches(where, names, n=1)
        advice = _("did you mean %(name)s?") % {"name": close[0]} if close else ""
        return ConfigError(
            _("%(path)s: there is no setting %(where)s") % {"path": path, "where": where},
            advice=advice or _("the settings are: %(names)s") % {"names": ", ".join(names)},
        )
    return ConfigError(
        _("%(path)s: setting %(where)s: %(problem)s")
        % {"path": path, "where": where, "problem": problem["msg"].removeprefix("Value error, ")},
        advice=_("see docs/settings.md for what it may be"),
    )


def _names(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _names(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def setting_names() -> list[str]:
    """Every setting, nested ones with dots."""
    return list(_names(Settings))


def settings_schema() -> dict[str, Any]:
    """The JSON Schema of workspace.yaml; `docs/schema/settings.schema.json` holds it."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Settings.model_json_schema()}


def _plain_yaml(text: str, path: Path) -> Any:
    """Safe YAML without aliases: a few of them can stand for millions of nodes."""
    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent) or depth > _MAX_DEPTH:
                raise _not_yaml(path, event.start_mark.line if event.start_mark else None)
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        raise _not_yaml(path, error.problem_mark.line if error.problem_mark else None) from None
    except (yaml.YAMLError, RecursionError, ValueError):  # ValueError: a date such as 2026-13-45
        raise _not_yaml(path, None) from None


def _not_yaml(path: Path, line: int | None) -> ConfigError:
    return ConfigError(
        _("the settings %(path)s are not valid YAML (line %(line)s)")
        % {"path": path, "line": "?" if line is None else line + 1},
        advice=_("compare with docs/settings.md; aliases (*name) and deep nesting are not allowed"),
    )


# ------------------------------------------------------------------ secrets


def is_reference(value: str) -> bool:
    """Whether `value` says where a secret is instead of being one."""
    return _REFERENCE.fullmatch(value) is not None


def resolve_secret(reference: str, environ: Mapping[str, str] | None = None) -> Secret:
    """The secret that `reference` names: `env:NAME`, or `file:/path` (its content without the last line end).

    Raises ConfigError for anything else (a literal is refused, and not repeated), for a variable that is not set, and
    for a file that others can read.
    """
    found = _REFERENCE.fullmatch(reference)
    if not found:
        raise ConfigError(
            _("a secret is given itself where a reference is needed"),
            advice=_("put it into a file that only you can read, or the environment; give file:/path or env:NAME"),
        )
    kind, name = found.groups()
    if kind == "env":
        if not _ENV_NAME.fullmatch(name):
            raise ConfigError(
                _("env: is not followed by the name of an environment variable"),
                advice=_("give the variable's name, not its value: env:NAME"),
            )
        value = (os.environ if environ is None else environ).get(name)
        if not value:
            raise ConfigError(
                _("the environment variable %(name)s is not set") % {"name": name},
                advice=_("set it for this process, or give file:/path"),
            )
        return Secret(value)
    from wardship.store.keys import read_private

    data = read_private(Path(name).expanduser())
    try:
        value = data.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        value = ""
    if not value:
        raise ConfigError(
            _("%(path)s is empty or not text") % {"path": name}, advice=_("write the secret into it, as UTF-8 text")
        )
    return Secret(value)
