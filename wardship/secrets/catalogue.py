"""What there is to find: every detector with its title and what to do about a finding, in the language in force."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from wardship.model.access import CredentialType
from wardship.model.exposure import DetectorTier
from wardship.sdk.i18n import N_, _
from wardship.secrets import candidates, files, providers

_TITLES: Mapping[CredentialType, str] = {
    CredentialType.ACCESS_KEY: N_("%(provider)s access key"),
    CredentialType.API_KEY: N_("%(provider)s API key"),
    CredentialType.CLIENT_SECRET: N_("%(provider)s client secret"),
    CredentialType.PASSWORD: N_("%(provider)s password"),
    CredentialType.SIGNING_SECRET: N_("%(provider)s signing secret or webhook address"),
    CredentialType.SSH_KEY: N_("%(provider)s private key"),
    CredentialType.TOKEN: N_("%(provider)s token"),
    CredentialType.UNKNOWN: N_("%(provider)s identifier"),
}
_OWN_TITLES: Mapping[str, str] = {
    "private_key": N_("Private key"),
    "generic.password": N_("Password"),
    "generic.client_secret": N_("Client secret"),
    "generic.token": N_("Token"),
    "generic.api_key": N_("API key"),
    "generic.secret": N_("Secret"),
    "file.netrc": N_("Password in a .netrc file"),
    "file.pgpass": N_("Password in a .pgpass file"),
    "file.npmrc": N_("Registry credential in a .npmrc file"),
    "file.docker": N_("Registry login in a Docker configuration"),
    "file.rails_key": N_("Rails master key"),
    "file.htpasswd": N_("Password hash in a .htpasswd file"),
    "file.shadow": N_("Password hash in a shadow file"),
    "file.esmtprc": N_("Password in a mail configuration"),
}
_ADVICE: Mapping[CredentialType, str] = {
    CredentialType.PASSWORD: N_("Change the password, move it to a secrets manager, then remove it here."),
    CredentialType.SSH_KEY: N_(
        "Make a new key pair, replace the public key wherever it is trusted, then withdraw the old one."
    ),
    CredentialType.SIGNING_SECRET: N_("Make a new secret at both ends, then withdraw the old one."),
}
_ADVICE_ELSE = N_("Create a new one, move it to a secrets manager, then revoke the old one.")
_ADVICE_AT = N_("Create a new one, move it to a secrets manager, then revoke the old one: %(place)s")
# Where a place is better said in words. The others are addresses and commands, in the table.
_PLACES: Mapping[str, str] = {
    "npm.token": N_("npm's website, Access Tokens of your account"),
    "pypi.token": N_("PyPI's website, API tokens in the account settings"),
}
_ADVICE_NOTICE = N_("No secret by itself; check whether it should be known here.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """One thing that is found. `provider` None: the kind does not belong to one vendor. `notice`: no secret."""

    id: str
    tier: DetectorTier
    type: CredentialType
    provider: str | None = None
    notice: bool = False
    revoke: str | None = None  # an address or a command

    @property
    def title(self) -> str:
        if self.provider is None:
            return _(_OWN_TITLES[self.id])
        return _(_TITLES[self.type]) % {"provider": self.provider}

    @property
    def advice(self) -> str:
        if self.notice:
            return _(_ADVICE_NOTICE)
        place = self.revoke or (_(_PLACES[self.id]) if self.id in _PLACES else None)
        if place:
            return _(_ADVICE_AT) % {"place": place}
        return _(_ADVICE.get(self.type, _ADVICE_ELSE))


def detectors() -> list[Detector]:
    """Every detector, by id."""
    return [one for _id, one in sorted(_all().items())]


def detector_title(detector: str) -> str:
    """What a finding is called; the id itself for one of another version."""
    known = _all().get(detector)
    return known.title if known else detector


def advice(detector: str) -> str:
    """What to do about a finding, with the place where it is revoked if that is known."""
    known = _all().get(detector)
    return known.advice if known else _(_ADVICE_ELSE)


@cache
def _all() -> dict[str, Detector]:
    provider, generic = DetectorTier.PROVIDER, DetectorTier.GENERIC
    table = providers.Providers(notices=True)
    found = [
        Detector(id=one.id, tier=provider, type=one.type, provider=one.provider, notice=one.notice, revoke=one.revoke)
        for one in table.formats
    ]
    found += [
        Detector(id=f"service.{name}", tier=provider, type=CredentialType.API_KEY, provider=name)
        for name in table.services
    ]
    found += [Detector(id=id_, tier=provider, type=type_) for id_, type_ in files.detectors()]
    found += [Detector(id=f"generic.{kind}", tier=generic, type=type_) for kind, type_ in candidates.kinds()]
    found.append(Detector(id="private_key", tier=provider, type=CredentialType.SSH_KEY))
    return {one.id: one for one in found}
