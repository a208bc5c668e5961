"""The errors of Wardship: the class says what to do, the message says to what, `.advice` says what next.

    Error
      ConfigError                       stop; the operator mends the settings
      ConnectorError(system, operation)
        RetryableError                  RateLimited(retry_after_s) | Unavailable, of it LimitReached(limit)
        SkippableError                  MissingScope(scope) | NotVisible      -> recorded in Coverage
        FatalError                      AuthenticationFailed | UnexpectedResponse
      DataError                         one record is unreadable: quarantined, counted, the run goes on
      StateError                        TransitionRefused | Conflict | VerificationFailed
      PolicyError                       ApprovalNeeded | OwnerNeeded | WindowClosed

Messages name object ids and never hold a secret or a raw response.
"""

from __future__ import annotations


class Error(Exception):
    """Base of all errors that Wardship raises on purpose. `advice` is one sentence: the next step."""

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice


class ConfigError(Error):
    """The settings are wrong or incomplete; nothing was read or changed."""


class ConnectorError(Error):
    """A system answered, or failed to answer, in a way that stops one operation."""

    def __init__(self, message: str, *, system: str = "", operation: str = "", advice: str = "") -> None:
        super().__init__(message, advice=advice)
        self.system = system
        self.operation = operation


class RetryableError(ConnectorError):
    """Trying again later may succeed."""


class RateLimited(RetryableError):
    """The system asked us to slow down. `retry_after_s` is its own figure in seconds, or None."""

    def __init__(
        self,
        message: str,
        *,
        retry_after_s: float | None = None,
        system: str = "",
        operation: str = "",
        advice: str = "",
    ) -> None:
        super().__init__(message, system=system, operation=operation, advice=advice)
        self.retry_after_s = retry_after_s


class Unavailable(RetryableError):
    """No answer, a broken answer, or a server error."""


class LimitReached(Unavailable):
    """A limit of ours ran out. `limit` is "deadline" or "budget" (of calls), the reason that Coverage gives."""

    def __init__(self, message: str, *, limit: str, system: str = "", operation: str = "", advice: str = "") -> None:
        super().__init__(message, system=system, operation=operation, advice=advice)
        self.limit = limit


class SkippableError(ConnectorError):
    """This part cannot be read; the rest of the run goes on and Coverage says so."""


class MissingScope(SkippableError):
    """The credential lacks a permission. `scope` is the vendor's own name of what is missing."""

    def __init__(self, message: str, *, scope: str, system: str = "", operation: str = "", advice: str = "") -> None:
        super().__init__(message, system=system, operation=operation, advice=advice)
        self.scope = scope


class NotVisible(SkippableError):
    """The system does not show this (licence missing, feature off, region disabled)."""


class FatalError(ConnectorError):
    """This connection cannot go on."""


class AuthenticationFailed(FatalError):
    """The credential was refused."""


class UnexpectedResponse(FatalError):
    """An answer that is not what the system documents, and cannot be read around."""


class DataError(Error):
    """One record is unreadable: it is quarantined and counted, and the run goes on."""


class StateError(Error):
    """The thing is not in a state that allows this."""


class TransitionRefused(StateError):
    """No such transition from the present state."""


class Conflict(StateError):
    """Somebody else holds it or changed it meanwhile."""


class VerificationFailed(StateError):
    """What was done could not be proved."""


class PolicyError(Error):
    """The policy forbids this now."""


class ApprovalNeeded(PolicyError):
    """A valid approval of exactly this plan is missing."""


class OwnerNeeded(PolicyError):
    """No living owner answers for it."""


class WindowClosed(PolicyError):
    """Outside the agreed change window."""
