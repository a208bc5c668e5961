"""The plan of the demo organisation: sizes, the same every time, and what habits change."""

from __future__ import annotations

import pytest

from wardship.sim.plan import CLEAN, SIZES, TENANT, plan


def _count(size: str) -> int:
    made = plan(size)
    return len(made.users) + len(made.roles) + len(made.apps)


@pytest.mark.parametrize("size", ["s", "m", "l"])
def test_a_plan_has_about_the_size_it_promises(size: str) -> None:
    assert SIZES[size] * 0.9 < _count(size) < SIZES[size] * 1.2


def test_a_plan_is_the_same_every_time() -> None:
    assert plan("s") == plan("s")


def test_the_clean_twin_has_living_owners_young_keys_and_no_stories() -> None:
    clean = plan("s", CLEAN)
    by_email = {person.email: person for person in clean.staff}
    assert all(by_email[user.tags["owner"]].active for user in clean.users)
    assert all(key.age_days <= 26 and key.last_used_days is not None for user in clean.users for key in user.keys)
    assert all(owner.active for app in clean.apps for owner in app.owners)
    assert "AcmeIntegrator SaaS" not in {app.name for app in clean.apps}


def test_the_departed_supplier_is_told_as_in_the_story() -> None:
    made = plan("s")
    app = next(app for app in made.apps if app.name == "AcmeIntegrator SaaS")
    supplier = next(row for row in made.suppliers if row.tenant == app.home_tenant)
    assert set(app.consents) == {"Mail.Read", "Sites.ReadWrite.All", "Files.ReadWrite.All"}
    assert app.owners == ()
    assert app.home_tenant != TENANT
    assert app.secrets[0].age_days > 365
    assert supplier.ended_days > 200
    assert app.consented_by is not None
    assert not app.consented_by.active
