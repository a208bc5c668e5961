"""Calls AWS through botocore: credentials, assumed roles, retries, and errors that say what to do.

The only module here that imports botocore, and only when a call is made. Retrying happens here and nowhere else:
botocore's own is switched off. What is asked and what the answers mean is left to the callers.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from wardship.model.errors import (
    AuthenticationFailed,
    ConfigError,
    Conflict,
    Error,
    MissingScope,
    NotVisible,
    RateLimited,
    Unavailable,
    UnexpectedResponse,
)
from wardship.model.secret import Secret
from wardship.sdk.connector import CallStats, Connection
from wardship.sdk.i18n import N_, _
from wardship.sdk.pace import full_jitter_s

SESSION = "wardship-read"
TRIES = 5
BASE_S = 0.3
MOST_S = 20.0
TIMEOUT_S = 30

GLOBAL_REGION = "us-east-1"

# Where the IAM action of an operation is not "<service>:<Operation>". Source: Service Authorization Reference, 2026-11.
_ACTION_SERVICE = {"sso-admin": "sso"}
_ACTION = {("apigateway", "GetApiKeys"): "apigateway:GET"}

_DENIED = {
    "AccessDenied", "AccessDeniedException", "AuthorizationError", "AuthorizationErrorException", "NotAuthorized",
    "UnauthorizedException", "UnauthorizedOperation",
}  # fmt: skip
_THROTTLED = {
    "BandwidthLimitExceeded", "LimitExceededException", "ProvisionedThroughputExceededException",
    "RequestLimitExceeded", "RequestThrottled", "RequestThrottledException", "SlowDown", "Throttling",
    "ThrottlingException", "ThrottledException", "TooManyRequestsException", "TransactionInProgressException",
}  # fmt: skip
_REFUSED = {
    "AuthFailure", "IncompleteSignature", "InvalidAccessKeyId", "InvalidClientTokenId", "InvalidToken",
    "MissingAuthenticationToken", "SignatureDoesNotMatch", "UnrecognizedClientException",
}  # fmt: skip
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
_ABSENT = {
    "AWSOrganizationsNotInUseException", "InvalidObjectState", "OptInRequired", "RegionDisabledException",
    "SubscriptionRequiredException", "UnsupportedOperationException",
}  # fmt: skip
_GONE = {"NoSuchBucket", "NoSuchEntity", "NoSuchKey", "NotFoundException", "ResourceNotFoundException"}
_BAD_TOKEN = {
    "InvalidMarker", "InvalidMarkerException", "InvalidNextToken", "InvalidNextTokenException",
    "InvalidPaginationToken", "InvalidPaginationTokenException",
}  # fmt: skip
_INVALID = {"ValidationError", "ValidationException", "InvalidInput", "InvalidInputException", "BadRequestException"}
_PAGING = ("Marker", "NextToken", "nextToken", "position")

ASK_OPERATOR = N_("run `wardship connect check` to see what this credential allows")


_Key = tuple[str, Secret, str | None]  # access key id, secret, session token


class Gone(NotVisible):
    """The object that was asked for by its id does not exist (NoSuchEntity, ResourceNotFoundException)."""


def action_of(service: str, operation: str) -> str:
    """The IAM action that allows an operation."""
    return _ACTION.get((service, operation)) or f"{_ACTION_SERVICE.get(service, service)}:{operation}"


class Api:
    """Calls of one account with one set of credentials.

    `assume` gives a second `Api` that acts as a role. Statistics are shared by all that stem from one connection.
    """

    def __init__(
        self,
        connection: Connection,
        stats: CallStats,
        *,
        credentials: _Key | None = None,
        renew: Callable[[], _Key] | None = None,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self._connection = connection
        self._stats = stats
        # A simulated network has nothing to wait for.
        self._sleep = sleep or (time.sleep if connection.wire is None else _no_wait)
        self._renew = renew
        self._session = self._open(credentials)
        self._clients: dict[tuple[str, str], Any] = {}

    def _open(self, credentials: _Key | None) -> Any:
        try:
            import botocore.session
        except ImportError as error:
            raise ConfigError(_("the AWS connector needs botocore"), advice=_("install `wardship[aws]`")) from error
        profile = self._connection.settings.get("profile") or None
        session = botocore.session.Session(profile=profile if credentials is None else None)
        session.register_component("data_loader", _loader())
        if self._connection.wire is not None:
            self._connection.wire.prepare_botocore(session)
        if credentials is not None:
            key_id, secret, token = credentials
            session.set_credentials(key_id, secret.reveal(), token)
        return session

    @property
    def default_region(self) -> str:
        """The region of the settings, of the environment, or us-east-1."""
        named = self._connection.settings.get("regions", "").split(",")[0].strip()
        return named or str(self._session.get_config_variable("region") or "") or GLOBAL_REGION

    def assume(self, role_arn: str, session_name: str) -> Api:
        """The same connection as the role `role_arn`. `external_id` of the settings is handed over where set.

        Raises MissingScope("sts:AssumeRole") when the role does not let us in.
        """
        params = {"RoleArn": role_arn, "RoleSessionName": session_name}
        external_id = self._connection.settings.get("external_id")
        if external_id:
            params["ExternalId"] = external_id

        def renew() -> _Key:
            found = self.call("sts", "AssumeRole", params)["Credentials"]
            return found["AccessKeyId"], Secret(found["SecretAccessKey"]), found["SessionToken"]

        return Api(self._connection, self._stats, credentials=renew(), renew=renew, sleep=self._sleep)

    def with_key(self, key_id: str, secret: Secret) -> Api:
        """The same connection with another access key: to try whether the key works."""
        return Api(self._connection, self._stats, credentials=(key_id, secret, None), sleep=self._sleep)

    def call(
        self,
        service: str,
        operation: str,
        params: Mapping[str, Any] | None = None,
        *,
        region: str = "",
        repeatable: bool = True,
    ) -> Mapping[str, Any]:
        """One answered call, retried while the service is busy.

        `repeatable` False: after a lost answer it is not asked again, because the first may have been carried out
        (a throttled call was not, and is). Raises the errors of `wardship.model.errors`, never botocore's:
        MissingScope with the IAM action that is missing, Gone for an unknown id, Conflict for a used-up quota,
        RateLimited or Unavailable when the tries ran out.
        """
        renewed = False
        for attempt in range(TRIES):
            self._stats.api_calls += 1
            try:
                answer = self._ask(service, operation, params or {}, region)
            except (RateLimited, Unavailable) as error:
                self._stats.throttles += isinstance(error, RateLimited)
                if attempt == TRIES - 1 or not (repeatable or isinstance(error, RateLimited)):
                    raise
                self._sleep(full_jitter_s(attempt, random.random, base_s=BASE_S, most_s=MOST_S))
            except AuthenticationFailed:
                if self._renew is None or renewed:
                    raise
                renewed = True  # the hour of an assumed role is over
                self._session = self._open(self._renew())
                self._clients.clear()
            else:
                if not isinstance(answer, Mapping):
                    raise UnexpectedResponse(_("an answer that is not an object"), system="aws", operation=operation)
                return answer
        raise Unavailable(
            _("%(operation)s was not answered") % {"operation": operation},
            system="aws",
            operation=f"{service}.{operation}",
        )

    def wait(self, seconds: float) -> None:
        """Waits; a simulated network does not."""
        self._sleep(seconds)

    def _ask(self, service: str, operation: str, params: Mapping[str, Any], region: str) -> Any:
        from botocore import exceptions, xform_name
        from botocore.parsers import ResponseParserError

        where = {"system": "aws", "operation": f"{service}.{operation}"}
        try:
            client = self._client(service, region)
            return getattr(client, xform_name(operation))(**params)
        except exceptions.ClientError as error:
            raise _mapped(error.response, service, operation, params, region) from None
        except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError) as error:
            raise AuthenticationFailed(
                _("no AWS credentials were found"), advice=_("set AWS_PROFILE or the connection's `profile`"), **where
            ) from error
        except (exceptions.ProfileNotFound, exceptions.ConfigParseError, exceptions.ConfigNotFound) as error:
            raise ConfigError(
                _("AWS settings cannot be used: %(error)s") % {"error": error}, advice=_("look at ~/.aws/config")
            ) from error
        except (exceptions.TokenRetrievalError, exceptions.SSOError, exceptions.CredentialRetrievalError) as error:
            raise AuthenticationFailed(_("the AWS credentials could not be fetched"), **where) from error
        except exceptions.ParamValidationError as error:
            raise UnexpectedResponse(
                _("%(operation)s was asked with unusable parameters") % {"operation": operation}, **where
            ) from error
        except ResponseParserError as error:
            raise UnexpectedResponse(
                _("the answer to %(operation)s cannot be read") % {"operation": operation}, **where
            ) from error
        except (exceptions.HTTPClientError, exceptions.BotoCoreError) as error:
            raise Unavailable(
                _("no answer to %(operation)s: %(name)s") % {"operation": operation, "name": type(error).__name__},
                **where,
            ) from None

    def _client(self, service: str, region: str) -> Any:
        from botocore.config import Config

        key = (service, region or self._region_of(service))
        if key not in self._clients:
            self._clients[key] = self._session.create_client(
                service,
                region_name=key[1],
                endpoint_url=self._connection.settings.get("endpoint_url") or None,
                config=Config(
                    connect_timeout=TIMEOUT_S,
                    read_timeout=TIMEOUT_S,
                    retries={"total_max_attempts": 1, "mode": "standard"},
                    user_agent_appid="wardship",
                ),
            )
        return self._clients[key]

    def _region_of(self, service: str) -> str:
        """IAM, Organizations and the trail of IAM's events live in one region; the others in the default one."""
        return GLOBAL_REGION if service in ("iam", "organizations", "cloudtrail") else self.default_region


@cache
def _loader() -> Any:
    """AWS's service descriptions, read once for all sessions: one takes 50 ms."""
    from botocore.loaders import create_loader

    return create_loader()


def signed_in(connection: Connection, role_arn: str | None, stats: CallStats) -> Api:
    """The connection's own calls: as the role `role_arn` where one is set. Raises MissingScope("sts:AssumeRole")."""
    base = Api(connection, stats)
    return base.assume(role_arn, SESSION) if role_arn else base


def _no_wait(_seconds: float) -> None:
    """The sleep of a simulated network."""


def _mapped(response: Mapping[str, Any], service: str, operation: str, params: Mapping[str, Any], region: str) -> Error:
    """Our error for an error answer of AWS. Only its code is quoted: messages may carry what was sent."""
    code = str((response.get("Error") or {}).get("Code") or "")[:64]
    meta = response.get("ResponseMetadata") or {}
    status = meta.get("HTTPStatusCode", 0)
    where = {"system": "aws", "operation": f"{service}.{operation}"}
    action = action_of(service, operation)
    if code in _DENIED:
        return MissingScope(
            _("%(action)s is not allowed (%(code)s)") % {"action": action, "code": code},
            scope=action,
            advice=_(ASK_OPERATOR),
            **where,
        )
    if code in _THROTTLED or status == 429:
        return RateLimited(
            _("%(operation)s was throttled (%(code)s)") % {"operation": operation, "code": code},
            retry_after_s=_retry_after_s(meta),
            **where,
        )
    if code in _ABSENT:
        return NotVisible(
            _("%(operation)s is not available here (%(code)s)") % {"operation": operation, "code": code}, **where
        )
    if code == "LimitExceeded":
        return Conflict(_("%(operation)s: the quota of the account or the user is used up") % {"operation": operation})
    if code in _GONE:
        return Gone(_("%(operation)s: no such object (%(code)s)") % {"operation": operation, "code": code}, **where)
    if code in _REFUSED | _EXPIRED:
        if region and code not in _EXPIRED:  # they work elsewhere: the account has this region switched off
            return NotVisible(
                _("region %(region)s refused the credentials (%(code)s): is it enabled?")
                % {"region": region, "code": code},
                **where,
            )
        return AuthenticationFailed(
            _("AWS refused the credentials (%(code)s)") % {"code": code}, advice=_(ASK_OPERATOR), **where
        )
    if code in _BAD_TOKEN or (code in _INVALID and any(name in params for name in _PAGING)):
        return UnexpectedResponse(
            _("the page token is no longer valid (%(code)s)") % {"code": code}, system="aws", operation="token"
        )
    if status >= 500 or code in ("InternalFailure", "InternalError", "ServiceFailure", "ServiceUnavailable"):
        return Unavailable(
            _("%(operation)s failed at AWS (%(code)s)") % {"operation": operation, "code": code or status}, **where
        )
    if status == 403:
        return MissingScope(
            _("%(action)s is not allowed (%(code)s)") % {"action": action, "code": code},
            scope=action,
            advice=_(ASK_OPERATOR),
            **where,
        )
    return UnexpectedResponse(
        _("%(operation)s answered %(code)s") % {"operation": operation, "code": code or status}, **where
    )


def _retry_after_s(meta: Mapping[str, Any]) -> float | None:
    value = (meta.get("HTTPHeaders") or {}).get("retry-after", "")
    return float(value) if str(value).isdecimal() else None
