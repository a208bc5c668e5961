"""Keys: made once, readable by their owner only, and good for what openssl also checks."""

from __future__ import annotations

from pathlib import Path

import pytest

from wardship.model.errors import ConfigError, VerificationFailed
from wardship.store import keys
from wardship.store.keys import PublicKeys, SigningKeys


def test_signatures_verify_with_the_stored_public_keys_only(tmp_path: Path) -> None:
    made = SigningKeys.create(tmp_path)
    loaded = SigningKeys.load(tmp_path)
    public = PublicKeys.load(tmp_path)
    assert made.public == loaded.public == public
    ed25519, ecdsa = loaded.sign(b"note")
    public.verify(b"note", ed25519, ecdsa)
    (tmp_path / "other").mkdir()
    other = SigningKeys.create(tmp_path / "other")
    assert other.public.key_id != public.key_id
    for message, first, second in [
        (b"another note", ed25519, ecdsa),
        (b"note", other.sign(b"note")[0], ecdsa),
        (b"note", ed25519, other.sign(b"note")[1]),
        (b"note", b"", ecdsa),
        (b"note", ed25519, b"not DER"),
    ]:
        with pytest.raises(VerificationFailed):
            public.verify(message, first, second)


def test_private_files_are_the_owners_only_and_never_overwritten(tmp_path: Path) -> None:
    SigningKeys.create(tmp_path)
    keys.create_pepper(tmp_path / "pepper")
    private = [tmp_path / "audit-ed25519.pem", tmp_path / "audit-ecdsa-p256.pem", tmp_path / "pepper"]
    assert {path.stat().st_mode & 0o777 for path in private} == {0o600}
    with pytest.raises(ConfigError, match="not overwritten"):
        SigningKeys.create(tmp_path)
    with pytest.raises(ConfigError, match="not overwritten"):
        keys.create_pepper(tmp_path / "pepper")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666, 0o620])
def test_a_private_file_that_others_can_reach_is_refused(mode: int, tmp_path: Path) -> None:
    SigningKeys.create(tmp_path)
    keys.create_pepper(tmp_path / "pepper")
    (tmp_path / "audit-ed25519.pem").chmod(mode)
    (tmp_path / "pepper").chmod(mode)
    for load in (lambda: SigningKeys.load(tmp_path), lambda: keys.load_pepper(tmp_path / "pepper")):
        with pytest.raises(ConfigError, match="can be read by others") as caught:
            load()
        assert "chmod 600" in caught.value.advice


def test_missing_and_damaged_keys_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"audit-ed25519\.pem cannot be read"):
        SigningKeys.load(tmp_path)
    SigningKeys.create(tmp_path)
    (tmp_path / "audit-ecdsa-p256.pem").write_text("-----BEGIN NOTHING-----")
    with pytest.raises(ConfigError, match="signing keys"):
        SigningKeys.load(tmp_path)
    (tmp_path / "audit-ecdsa-p256.pub.pem").write_text("x")
    with pytest.raises(ConfigError, match="public keys"):
        PublicKeys.load(tmp_path)
    (tmp_path / "audit-ecdsa-p256.pub.pem").write_text((tmp_path / "audit-ed25519.pub.pem").read_text())
    with pytest.raises(ConfigError, match="public keys"):
        PublicKeys.load(tmp_path)
    keys.write_private(tmp_path / "pepper", b"abc")
    with pytest.raises(ConfigError, match="damaged"):
        keys.load_pepper(tmp_path / "pepper")


def test_a_pair_is_made_once_and_half_a_pair_is_an_error(tmp_path: Path) -> None:
    first = SigningKeys.ensure(tmp_path)
    (tmp_path / "audit-ed25519.pub.pem").unlink()  # can be made again
    assert SigningKeys.ensure(tmp_path).public == first.public == PublicKeys.load(tmp_path)
    (tmp_path / "audit-ed25519.pem").unlink()
    with pytest.raises(ConfigError, match=r"audit-ed25519\.pem"):
        SigningKeys.ensure(tmp_path)


def test_nothing_private_is_shown(tmp_path: Path) -> None:
    made = SigningKeys.create(tmp_path)
    assert repr(made) == f"SigningKeys({made.public.key_id})"
