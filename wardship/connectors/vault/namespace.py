"""What several answers of one namespace say together: its mounts, its policies, and what each policy gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wardship.connectors.vault.policy import reaches_everything, read_policy, tier_of
from wardship.model.access import Tier
from wardship.model.errors import DataError
from wardship.sdk.connector import Drift


@dataclass(frozen=True, slots=True)
class Given:
    """One statement of a policy, ready to become a grant of whoever has the policy."""

    permission: str
    resource: str | None
    effect: str
    condition: str | None
    tier: Tier
    wide: bool | None
    attributes: Mapping[str, Any]


@dataclass(slots=True)
class Namespace:
    """What is known of one namespace. `policies` None: they could not be read."""

    authority: str
    path: str  # "" for the root, "team/a" below it
    parent: str | None
    drift: Drift
    engines: dict[str, str] = field(default_factory=dict)  # "secret/" -> "kv2", "database", ...
    methods: dict[str, tuple[str, str | None]] = field(default_factory=dict)  # "approle/" -> (type, accessor)
    policies: dict[str, str | None] | None = None  # name -> text; None: that one could not be read
    groups: dict[str, tuple[str, list[str]]] = field(default_factory=dict)  # id -> (name, policies)
    _given: dict[str, Sequence[Given]] = field(default_factory=dict)

    def given(self, policy: str) -> Sequence[Given]:
        """What `policy` gives; computed once, however many have it."""
        found = self._given.get(policy)
        if found is None:
            found = self._given[policy] = self._compute(policy)
        return found

    def _compute(self, name: str) -> Sequence[Given]:
        if name == "root":
            return (Given("root", "*", "allow", None, Tier.CONTROL_PLANE, True, {}),)
        if self.policies is None or (name in self.policies and self.policies[name] is None):
            return (Given(f"policy {name}"[:512], None, "allow", None, Tier.UNKNOWN, None, {"read": False}),)
        text = self.policies.get(name)
        if text is None:  # a name that nobody has defined yet: whoever defines it decides what it gives
            return (Given(f"policy {name}"[:512], None, "allow", None, Tier.UNKNOWN, None, {"exists": False}),)
        try:
            statements = read_policy(text)
        except DataError:
            return (Given(f"unreadable policy {name}"[:512], None, "allow", None, Tier.UNKNOWN, None, {"read": False}),)
        found = [
            Given(
                permission=",".join(statement.capabilities) or "none",
                resource=statement.path,
                effect="deny" if statement.denies else "allow",
                condition=statement.condition,
                tier=tier_of(statement, self.engines),
                wide=None if statement.denies else reaches_everything(statement),
                attributes={},
            )
            for statement in statements
        ]
        # Every token has `default`: what it gives is told only where it gives more than a look at oneself.
        return [given for given in found if name != "default" or given.tier is not Tier.READ]
