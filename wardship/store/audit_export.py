"""The audit log as a folder that an outsider checks with `openssl` alone.

    audit.jsonl                    the entries, one canonical JSON body a line; entry n is line n+1
    checkpoint.note                name of the log, number of entries, root
    checkpoint.{ed25519,ecdsa}.sig its two signatures
    audit-*.pub.pem, key_id.txt    the public keys, and the name under which to ask for them elsewhere
    inclusion/N.json, N.proof      single entries that can be shown without the others
    consistency.proof              that the log grew from the checkpoint before: both sizes, then one hash a line
    verify_audit.sh                checks all that

Everything is written from one view of the database; it is not verified here: that is what the folder is for.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from wardship.model.errors import ConfigError, StateError
from wardship.sdk.i18n import _
from wardship.store import tables
from wardship.store.checkpoint import checkpoints
from wardship.store.db import Database
from wardship.store.keys import PublicKeys
from wardship.store.merkle import RangeHash, consistency_proof, inclusion_proof, root_of

SCRIPT = Path(__file__).resolve().parents[1] / "data" / "verify_audit.sh"
_BATCH = 1000


def export(db: Database, public: PublicKeys, folder: Path, entries: Sequence[int] = ()) -> int:
    """Writes the signed part of the log to the new `folder`; returns the number of its entries.

    `entries` get an inclusion proof each; without any, the last one does. Raises ConfigError when `folder` exists,
    StateError when nothing was signed yet or an entry is not in the signed part.
    """
    with db.read() as conn:
        signed = checkpoints(conn)
        if not signed:
            raise StateError(
                _("the audit log has no checkpoint yet"), advice=_("run any command that writes, or `wardship worker`")
            )
        newest = signed[-1]
        size = newest.size
        wanted = list(entries) or [size - 1]
        if missing := [seq for seq in wanted if not 0 <= seq < size]:
            raise StateError(
                _("entry %(seq)d is not in the signed log of %(size)d entries") % {"seq": missing[0], "size": size},
                advice=_("entries are numbered from 0"),
            )
        _make(folder)
        (folder / "checkpoint.note").write_text(newest.note, encoding="utf-8")
        (folder / "checkpoint.ed25519.sig").write_bytes(newest.ed25519)
        (folder / "checkpoint.ecdsa.sig").write_bytes(newest.ecdsa)
        (folder / "key_id.txt").write_text(newest.key_id + "\n", encoding="ascii")
        public.save(folder)
        with (folder / "audit.jsonl").open("w", encoding="utf-8", newline="\n", errors="surrogatepass") as file:
            query = sa.select(tables.audit.c.body).where(tables.audit.c.seq < size).order_by(tables.audit.c.seq)
            file.writelines(f"{row.body}\n" for row in conn.execution_options(yield_per=_BATCH).execute(query))
        range_hash = stored_ranges(conn)
        for seq in wanted:
            body = conn.execute(sa.select(tables.audit.c.body).where(tables.audit.c.seq == seq)).scalar_one_or_none()
            (folder / "inclusion" / f"{seq}.json").write_text(f"{body or ''}\n", encoding="utf-8")
            _write_hashes(folder / "inclusion" / f"{seq}.proof", inclusion_proof(seq, size, range_hash))
        if len(signed) > 1:
            old = signed[-2].size
            proof = consistency_proof(old, size, range_hash)
            _write_hashes(folder / "consistency.proof", proof, first=f"{old} {size}\n")
    shutil.copyfile(SCRIPT, folder / "verify_audit.sh")
    return size


def stored_ranges(conn: Connection) -> RangeHash:
    """Hashes of subtrees over the stored leaves, each in one pass and constant memory."""

    def leaves(first: int, end: int) -> sa.ScalarResult[bytes]:
        seq = tables.audit.c.seq
        query = sa.select(tables.audit.c.leaf).where(seq >= first, seq < end).order_by(seq)
        return conn.execution_options(yield_per=_BATCH).scalars(query)

    def range_hash(first: int, end: int) -> bytes:
        return root_of(leaves(first, end))

    return range_hash


def _make(folder: Path) -> None:
    try:
        (folder / "inclusion").mkdir(parents=True)
    except FileExistsError:
        raise ConfigError(
            _("the folder %(path)s exists") % {"path": folder}, advice=_("name a new folder: nothing is overwritten")
        ) from None
    except OSError as error:
        raise ConfigError(
            _("the folder %(path)s cannot be made: %(reason)s") % {"path": folder, "reason": error.strerror},
            advice=_("choose a folder that you may write"),
        ) from None


def _write_hashes(path: Path, hashes: Sequence[bytes], first: str = "") -> None:
    path.write_text(first + "".join(f"{node.hex()}\n" for node in hashes), encoding="ascii")
