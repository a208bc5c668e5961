"""The hash tree of RFC 6962 (section 2.1): pure functions over leaf hashes; it knows no database.

    leaf hash  SHA-256(0x00 || entry)          node  SHA-256(0x01 || left || right)

A tree of n leaves splits at the largest power of two below n, so a tree that grows never changes a finished subtree:
its right edge (`Frontier`, at most log2(n) hashes) is all that appending needs, and what two sizes share
proves that the later tree only grew (`verify_consistency`). Ranges [first, end) name subtrees; proofs ask for
their hashes one at a time, so that a proof over a log of any size needs only memory for its own hashes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from wardship.model.errors import VerificationFailed
from wardship.sdk.i18n import _

EMPTY_ROOT = hashlib.sha256(b"").digest()

RangeHash = Callable[[int, int], bytes]
"""The hash of the subtree over leaves [first, end)."""


def leaf_hash(entry: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(slots=True)
class Frontier:
    """The right edge of a tree of `size` leaves: the hashes of its complete subtrees, largest first.

    There is one for each bit set in `size`.
    """

    size: int = 0
    nodes: list[bytes] = field(default_factory=list)

    def append(self, leaf: bytes) -> None:
        """Adds one leaf hash; O(log size) at worst, O(1) on average."""
        node, size = leaf, self.size
        while size & 1:  # a finished subtree of the same height stands to the left
            node = node_hash(self.nodes.pop(), node)
            size >>= 1
        self.nodes.append(node)
        self.size += 1

    def root(self) -> bytes:
        if not self.nodes:
            return EMPTY_ROOT
        root = self.nodes[-1]
        for node in reversed(self.nodes[:-1]):
            root = node_hash(node, root)
        return root


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root over leaf hashes, in one pass and O(log n) memory."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()


def inclusion_proof(index: int, size: int, range_hash: RangeHash) -> list[bytes]:
    """The audit path of leaf `index` in the tree of the first `size` leaves (RFC 6962, 2.1.1), leaf side first."""
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size}")
    first, end = 0, size
    path: list[bytes] = []
    while end - first > 1:
        middle = first + _split(end - first)
        if index < middle:
            path.append(range_hash(middle, end))
            end = middle
        else:
            path.append(range_hash(first, middle))
            first = middle
    return path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Raises VerificationFailed unless `proof` shows `leaf` at `index` of the tree with `root` (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        raise VerificationFailed(_("entry %(index)s is not in a log of %(size)s") % {"index": index, "size": size})
    node, last = index, size - 1
    computed = leaf
    for sibling in proof:
        if last == 0:
            raise VerificationFailed(_("inclusion of entry %(index)s: the proof is too long") % {"index": index})
        if node & 1 or node == last:
            computed = node_hash(sibling, computed)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            computed = node_hash(computed, sibling)
        node >>= 1
        last >>= 1
    if last or computed != root:
        raise VerificationFailed(
            _("inclusion of entry %(index)s: the proof does not lead to the root") % {"index": index}
        )


def consistency_proof(old: int, size: int, range_hash: RangeHash) -> list[bytes]:
    """What shows that the first `old` of `size` leaves are unchanged (RFC 6962, 2.1.2). Empty when old is 0 or size."""
    if not 0 <= old <= size:
        raise ValueError(f"a tree of {old} is not part of one of {size}")
    if old in (0, size):
        return []
    first, end, known = 0, size, True  # known: the verifier holds the hash of [first, old) as the old root
    path: list[bytes] = []
    while old != end:
        middle = first + _split(end - first)
        if old <= middle:
            path.append(range_hash(middle, end))
            end = middle
        else:
            path.append(range_hash(first, middle))
            first, known = middle, False
    if not known:
        path.append(range_hash(first, end))
    return path[::-1]


def verify_consistency(old: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> None:
    """Raises VerificationFailed unless the tree of `size` is the tree of `old` grown (RFC 9162, 2.1.4.2)."""
    wrong = VerificationFailed(
        _("the log of %(size)s entries does not continue the log of %(old)s") % {"size": size, "old": old}
    )
    if old > size:
        raise wrong
    if old in (0, size):
        if proof or (old == size and old_root != root):
            raise wrong
        return
    path = list(proof)
    if not old & (old - 1):  # a power of two: its root is itself a node of the new tree
        path.insert(0, old_root)
    if not path:
        raise wrong
    node, last = old - 1, size - 1
    while node & 1:
        node >>= 1
        last >>= 1
    then = now = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise wrong
        if node & 1 or node == last:
            then = node_hash(sibling, then)
            now = node_hash(sibling, now)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            now = node_hash(now, sibling)
        node >>= 1
        last >>= 1
    if last or then != old_root or now != root:
        raise wrong


def _split(size: int) -> int:
    """The largest power of two below `size` (size > 1)."""
    return 1 << ((size - 1).bit_length() - 1)
