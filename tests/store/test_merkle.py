"""The tree against the recursive definitions of RFC 6962, written here a second time and naively."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardship.model.errors import VerificationFailed
from wardship.store import merkle

SIZES = 70


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def naive_root(entries: list[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, word for word."""
    if not entries:
        return sha(b"")
    if len(entries) == 1:
        return sha(b"\x00" + entries[0])
    k = 1
    while k * 2 < len(entries):
        k *= 2
    return sha(b"\x01" + naive_root(entries[:k]) + naive_root(entries[k:]))


def naive_path(m: int, entries: list[bytes]) -> list[bytes]:
    """PATH of section 2.1.1."""
    if len(entries) == 1:
        return []
    k = 1
    while k * 2 < len(entries):
        k *= 2
    if m < k:
        return [*naive_path(m, entries[:k]), naive_root(entries[k:])]
    return [*naive_path(m - k, entries[k:]), naive_root(entries[:k])]


def naive_proof(m: int, entries: list[bytes]) -> list[bytes]:
    """PROOF of section 2.1.2."""

    def sub(m: int, entries: list[bytes], complete: bool) -> list[bytes]:
        if m == len(entries):
            return [] if complete else [naive_root(entries)]
        k = 1
        while k * 2 < len(entries):
            k *= 2
        if m <= k:
            return [*sub(m, entries[:k], complete), naive_root(entries[k:])]
        return [*sub(m - k, entries[k:], False), naive_root(entries[:k])]

    return sub(m, entries, True)


ENTRIES = [f"entry {n}".encode() for n in range(SIZES)]
LEAVES = [merkle.leaf_hash(entry) for entry in ENTRIES]
ROOTS = [naive_root(ENTRIES[:n]) for n in range(SIZES)]


def range_hash(first: int, end: int) -> bytes:
    return merkle.root_of(LEAVES[first:end])


def test_roots_of_all_sizes_follow_the_definition() -> None:
    frontier = merkle.Frontier()
    for size in range(SIZES):
        assert frontier.root() == ROOTS[size] == merkle.root_of(LEAVES[:size])
        assert len(frontier.nodes) == size.bit_count()
        frontier.append(LEAVES[size])


def test_the_well_known_roots_of_certificate_transparency() -> None:
    # The eight-leaf tree of the CT project's own tests: inputs are public, the root is widely published.
    inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    root = merkle.root_of(merkle.leaf_hash(bytes.fromhex(text)) for text in inputs)
    assert root.hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
    assert merkle.EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_inclusion_for_all_sizes_and_leaves() -> None:
    for size in range(1, SIZES):
        for index in range(size):
            proof = merkle.inclusion_proof(index, size, range_hash)
            assert proof == naive_path(index, ENTRIES[:size])
            merkle.verify_inclusion(LEAVES[index], index, size, proof, ROOTS[size])


def test_consistency_for_all_pairs_of_sizes() -> None:
    for size in range(1, SIZES):
        for old in range(1, size + 1):
            proof = merkle.consistency_proof(old, size, range_hash)
            assert proof == naive_proof(old, ENTRIES[:size])
            merkle.verify_consistency(old, ROOTS[old], size, ROOTS[size], proof)
    assert merkle.consistency_proof(0, 9, range_hash) == []


def test_another_leaf_index_size_or_root_is_refused() -> None:
    for size in range(2, SIZES):
        index = size // 2
        proof = merkle.inclusion_proof(index, size, range_hash)
        wrong = [
            (LEAVES[index - 1], index, size, proof, ROOTS[size]),
            (LEAVES[index], index - 1, size, proof, ROOTS[size]),
            (LEAVES[index], index, size, proof, ROOTS[size - 1]),
            (LEAVES[index], index, size, proof[:-1], ROOTS[size]),
            (LEAVES[index], index, size, [*proof, ROOTS[1]], ROOTS[size]),
            (LEAVES[index], size, size, proof, ROOTS[size]),
            (LEAVES[index], -1, size, proof, ROOTS[size]),
        ]
        for leaf, at, of, path, root in wrong:
            with pytest.raises(VerificationFailed):
                merkle.verify_inclusion(leaf, at, of, path, root)


def test_a_history_that_was_changed_is_not_consistent() -> None:
    for size in range(2, SIZES):
        for old in range(1, size):
            proof = merkle.consistency_proof(old, size, range_hash)
            for then, now, path in [
                (ROOTS[old - 1], ROOTS[size], proof),
                (ROOTS[old], ROOTS[size - 1], proof),
                (ROOTS[old], ROOTS[size], proof[:-1]),
                (ROOTS[old], ROOTS[size], [*proof, ROOTS[1]]),
            ]:
                with pytest.raises(VerificationFailed):
                    merkle.verify_consistency(old, then, size, now, path)
    with pytest.raises(VerificationFailed):
        merkle.verify_consistency(5, ROOTS[5], 4, ROOTS[4], [])
    with pytest.raises(VerificationFailed):
        merkle.verify_consistency(5, ROOTS[5], 5, ROOTS[4], [])


def test_what_is_not_in_the_tree_has_no_proof() -> None:
    with pytest.raises(ValueError, match="leaf 3 is not in a tree of 3"):
        merkle.inclusion_proof(3, 3, range_hash)
    with pytest.raises(ValueError, match="not part of"):
        merkle.consistency_proof(4, 3, range_hash)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=8), min_size=1, max_size=40), st.data())
def test_one_flipped_bit_of_a_proof_is_refused(entries: list[bytes], data: st.DataObject) -> None:
    leaves = [merkle.leaf_hash(entry) for entry in entries]
    index = data.draw(st.integers(0, len(entries) - 1))
    proof = merkle.inclusion_proof(index, len(leaves), lambda a, b: merkle.root_of(leaves[a:b]))
    root = naive_root(entries)
    merkle.verify_inclusion(leaves[index], index, len(leaves), proof, root)
    if proof:
        which = data.draw(st.integers(0, len(proof) - 1))
        bit = data.draw(st.integers(0, 255))
        changed = int.from_bytes(proof[which]) ^ (1 << bit)
        proof[which] = changed.to_bytes(32)
        with pytest.raises(VerificationFailed):
            merkle.verify_inclusion(leaves[index], index, len(leaves), proof, root)
