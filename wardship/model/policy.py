"""Policy: the one place of thresholds. A rule names them as parameters (`:inactive_days`); none is written in a query.

Every threshold has its unit in its name. Nothing here reads a file: `wardship.sdk.policy_file` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, timedelta

from wardship.model.errors import ConfigError
from wardship.model.finding import Severity

ParameterValue = int | datetime

CRITICALITIES = ("critical", "high", "medium", "low")


_KEYS: Mapping[str, tuple[str, ...]] = {
    "max_age_days": CRITICALITIES,
    "expiry_warning_days": ("high", "medium", "low", "info"),
    "due_days": tuple(Severity),
    "alert_percent": ("critical", "high", "medium", "low"),
}
"""What a threshold of several numbers gives a number for."""


def N_(message: str) -> str:  # noqa: N802 - gettext's own name; the model translates nothing, it only marks
    """Marks `message` for the catalogue and returns it unchanged."""
    return message


class ThresholdError(ConfigError):
    """A value that makes no sense. `text` and `hint` are message and advice before `values` are put into them, for
    whoever shows them in another language."""

    def __init__(self, text: str, hint: str, **values: object) -> None:
        super().__init__(text % values, advice=hint % values)
        self.text = text
        self.hint = hint
        self.values = values


def _max_age() -> dict[str, int]:
    return {"critical": 30, "high": 90, "medium": 180, "low": 180}


def _expiry_warning() -> dict[str, int]:
    return {"high": 1, "medium": 7, "low": 14, "info": 30}


def _due() -> dict[str, int]:
    return {"critical": 7, "high": 30, "medium": 90, "low": 180, "info": 365}


def _alert() -> dict[str, int]:
    return {"critical": 90, "high": 70, "medium": 50, "low": 35}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Thresholds of one workspace; the defaults are those of the programme described in docs/policy.md.

    Raises ThresholdError for a value that makes no sense, naming the threshold.
    """

    inactive_days: int = 90
    """Days without use after which an identity or credential must be removed or justified again."""
    log_hole_days: int = 3
    """Days of the watched time that may be missing from the logs before "unused" can no longer be said."""
    new_days: int = 30
    """Days after its creation during which "never used" says nothing yet."""
    max_age_days: Mapping[str, int] = field(default_factory=_max_age)
    """Oldest allowed age of a static credential in days, by criticality of its identity (PCI DSS 4.0.1, 8.6.3)."""
    max_age_undeclared_days: int = 180
    """The same where no criticality is declared."""
    hard_max_age_days: int = 365
    """No criticality and no exception allows a static credential to be older than this many days."""
    max_lifetime_days: int = 730
    """Longest lifetime in days, from creation to expiry, that a credential may be given."""
    expiry_warning_days: Mapping[str, int] = field(default_factory=_expiry_warning)
    """Days before its end from which a credential without a successor is reported, by the severity it then has."""
    max_consumers: int = 3
    """Most consumers that one identity may serve before sharing it is reported."""
    likely_percent: int = 50
    """Certainty of a detector, in percent, from which something seen in a text is likely a secret."""
    sure_percent: int = 90
    """Certainty of a detector, in percent, from which it is taken as a secret without a doubt."""
    due_days: Mapping[str, int] = field(default_factory=_due)
    """Days from its opening until a finding is due, by severity."""
    owner_term_days: int = 365
    """Days for which an attested owner answers before attesting again."""
    supplier_grace_days: int = 0
    """Days after a supplier's contract end until its access must be gone."""
    drop_guard_percent: int = 20
    """A complete reading that loses more than this share of a scope waits for a person before anything is gone."""
    drop_guard_minimum: int = 10
    """The guard looks only at scopes that held at least this many records."""
    dormant_days: int = 60
    """Days of silence after which a use is news."""
    alert_percent: Mapping[str, int] = field(default_factory=_alert)
    """Score from which signals together are an alert of that severity; below the last one they stay signals."""
    dampen_percent: int = 30
    """What a signal counts where a provisioning tool or an announced change explains it, in percent of its weight."""
    alert_days: int = 30
    """Older events only say what is usual: no detection is asked about what happened more days ago than this."""
    expected_max_days: int = 90
    """Most days for which an alert can be marked as expected."""

    def __post_init__(self) -> None:
        for threshold in fields(self):
            value = getattr(self, threshold.name)
            if isinstance(value, Mapping):
                expected = list(_KEYS[threshold.name])
                if set(value) != set(expected):
                    raise ThresholdError(
                        N_("policy %(name)s: names %(given)s"),
                        N_("give a number of days for each of: %(expected)s"),
                        name=threshold.name,
                        given=", ".join(sorted(value)),
                        expected=", ".join(expected),
                    )
                for name, days in value.items():
                    _check_number(f"{threshold.name}.{name}", days)
            else:
                _check_number(threshold.name, value)
        for name in ("drop_guard_percent", "likely_percent", "sure_percent", "dampen_percent"):
            if getattr(self, name) > 100:
                raise ThresholdError(N_("policy %(name)s: more than 100"), N_("give a share from 0 to 100"), name=name)
        warnings = [self.expiry_warning_days[name] for name in _KEYS["expiry_warning_days"]]
        if warnings != sorted(warnings):
            raise ThresholdError(
                N_("policy expiry_warning_days: a higher severity begins earlier than a lower one"),
                N_("give the fewest days to high and the most to info"),
            )
        steps = [self.alert_percent[name] for name in _KEYS["alert_percent"]]
        if steps != sorted(steps, reverse=True) or steps[0] > 100:
            raise ThresholdError(
                N_("policy alert_percent: a higher severity begins earlier than a lower one, or above 100"),
                N_("give the highest score to critical and the lowest to low, none above 100"),
            )
        longest = max(*self.max_age_days.values(), self.max_age_undeclared_days)
        if longest > self.hard_max_age_days:
            raise ThresholdError(
                N_("policy max_age_days allows %(longest)d days, hard_max_age_days only %(most)d"),
                N_("raise the hard maximum or lower the age"),
                longest=longest,
                most=self.hard_max_age_days,
            )

    def parameters(self, as_of: datetime) -> dict[str, ParameterValue]:
        """Every named parameter that a rule may use: `:as_of` (naive UTC, as in the facts) and each threshold.

        A threshold by criticality becomes one parameter each: `:max_age_critical_days`, ...
        """
        if as_of.tzinfo is None:
            raise ValueError("as_of has no time zone")
        values: dict[str, ParameterValue] = {"as_of": as_of.astimezone(UTC).replace(tzinfo=None)}
        for threshold in fields(self):
            value = getattr(self, threshold.name)
            if isinstance(value, Mapping):
                stem, _sign, unit = threshold.name.rpartition("_")
                values.update({f"{stem}_{name}_{unit}": number for name, number in value.items()})
            else:
                values[threshold.name] = value
        return values

    def due_on(self, severity: Severity, opened_at: datetime) -> date:
        """The date by which a finding that opened at `opened_at` must be dealt with."""
        return (opened_at.astimezone(UTC) + timedelta(days=self.due_days[severity])).date()


def _check_number(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ThresholdError(
            N_("policy %(name)s: %(value)r is not a whole number"),
            N_("write it as a plain number"),
            name=name,
            value=value,
        )
    if not 0 <= value <= 36_500:
        raise ThresholdError(
            N_("policy %(name)s: %(value)d is out of range"),
            N_("give a number from 0 to 36500"),
            name=name,
            value=value,
        )


PARAMETERS = frozenset(Policy().parameters(datetime(2000, 1, 1, tzinfo=UTC)))
"""Names of all parameters a rule may use."""
