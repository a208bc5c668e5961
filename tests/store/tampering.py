"""Ways to falsify an audit log, for the tests of both verifiers. Works on the raw rows, as an insider would."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from wardship.store.append_only import append_only_ddl
from wardship.store.audit import CHAIN_START, chain_hash
from wardship.store.checkpoint import Note
from wardship.store.keys import SigningKeys
from wardship.store.merkle import Frontier, leaf_hash


@dataclass(slots=True)
class Log:
    """The rows of a log in memory: (seq, body, leaf, prev), to be changed and written back."""

    rows: list[tuple[int, str, bytes, bytes]]

    def recompute(self, *, leaves: bool = True) -> None:
        """Numbers, leaves and chain made consistent again."""
        chain, rows = CHAIN_START, []
        for seq, (_seq, body, leaf, _prev) in enumerate(self.rows):
            leaf = leaf_hash(body.encode()) if leaves else leaf  # noqa: PLW2901 - the new leaf of this row
            rows.append((seq, body, leaf, chain))
            chain = chain_hash(chain, leaf)
        self.rows = rows

    def edited(self, n: int, chance: random.Random) -> str:
        body = json.loads(self.rows[n][1])
        body[chance.choice(["actor", "subject", "action"])] += chance.choice("xyz")
        return json.dumps(body, sort_keys=True, separators=(",", ":"))


def edit(log: Log, n: int, chance: random.Random) -> None:
    seq, _body, leaf, prev = log.rows[n]
    log.rows[n] = (seq, log.edited(n, chance), leaf, prev)


def edit_with_leaf(log: Log, n: int, chance: random.Random) -> None:
    seq, _body, _leaf, prev = log.rows[n]
    body = log.edited(n, chance)
    log.rows[n] = (seq, body, leaf_hash(body.encode()), prev)


def edit_and_rechain(log: Log, n: int, chance: random.Random) -> None:
    edit(log, n, chance)
    log.recompute()


def delete(log: Log, n: int, chance: random.Random) -> None:
    del log.rows[n]


def delete_and_rechain(log: Log, n: int, chance: random.Random) -> None:
    del log.rows[n]
    log.recompute()


def swap(log: Log, n: int, chance: random.Random) -> None:
    m = chance.choice([other for other in range(len(log.rows)) if other != n])
    here, there = log.rows[n], log.rows[m]
    log.rows[n] = (here[0], there[1], there[2], here[3])
    log.rows[m] = (there[0], here[1], here[2], there[3])


def swap_and_rechain(log: Log, n: int, chance: random.Random) -> None:
    swap(log, n, chance)
    log.recompute()


def insert(log: Log, n: int, chance: random.Random) -> None:
    log.rows.insert(n, (0, log.edited(n, chance), b"", b""))
    log.recompute()


def truncate(log: Log, n: int, chance: random.Random) -> None:
    del log.rows[n:]


CHANGES: list[Callable[[Log, int, random.Random], None]] = [
    edit,
    edit_with_leaf,
    edit_and_rechain,
    delete,
    delete_and_rechain,
    swap,
    swap_and_rechain,
    insert,
    truncate,
]


def falsify(path: str, change: Callable[[Log, int, random.Random], None], chance: random.Random) -> str:
    """Changes the log in the SQLite file `path`, hides the traces as far as one can without the signing key, and
    returns what was done. Sometimes the tree is made to agree, and sometimes the checkpoints are removed or
    signed with another key."""
    conn = sqlite3.connect(path)
    for table in ("audit", "audit_checkpoint"):
        for verb in ("update", "delete"):
            conn.execute(f"drop trigger {table}_append_only_{verb}")
    log = Log([tuple(row) for row in conn.execute("select seq, body, leaf, prev from audit order by seq")])
    n = chance.randrange(len(log.rows))
    change(log, n, chance)
    conn.execute("delete from audit")
    conn.executemany("insert into audit values (?, ?, ?, ?)", log.rows)
    done = f"{change.__name__} at {n}"
    frontier, chain = Frontier(), CHAIN_START
    for _seq, body, _leaf, _prev in log.rows:
        frontier.append(leaf_hash(body.encode()))
        chain = chain_hash(chain, leaf_hash(body.encode()))
    if chance.random() < 0.7:  # the whole tree is made again
        nodes = json.dumps([node.hex() for node in frontier.nodes])
        conn.execute("update audit_frontier set size = ?, nodes = ?, chain = ?", (frontier.size, nodes, chain))
        done += ", tree recomputed"
    hide = chance.random()
    if hide < 0.2:
        conn.execute("delete from audit_checkpoint where size > ?", (n,))
        done += ", newer checkpoints removed"
    elif hide < 0.4 and log.rows:
        done += ", signed with another key"
        _sign_anew(conn, frontier, claim_ours=chance.random() < 0.5)
    for table in ("audit", "audit_checkpoint"):
        for statement in append_only_ddl(table, "sqlite"):
            conn.execute(statement)
    conn.commit()
    conn.close()
    return done


def _sign_anew(conn: sqlite3.Connection, frontier: Frontier, *, claim_ours: bool) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    keys = SigningKeys(ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1()))
    old, key_id = conn.execute("select note, key_id from audit_checkpoint order by size desc").fetchone()
    note = Note(origin=Note.parse(old).origin, size=frontier.size, root=frontier.root()).text()
    conn.execute("delete from audit_checkpoint")
    conn.execute(
        "insert into audit_checkpoint (size, note, ed25519, ecdsa, key_id, created_at) values (?, ?, ?, ?, ?, ?)",
        (
            frontier.size,
            note,
            *keys.sign(note.encode()),
            key_id if claim_ours else keys.public.key_id,
            "2026-11-22 08:00:00.000000",
        ),
    )
