"""Writes a small MMDB file of IPv4 networks, by the format's specification 2.0, for tests of who reads it."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_UTF8, _UINT16, _UINT32, _MAP, _UINT64, _ARRAY = 2, 5, 6, 7, 9, 11
_KINDS = {"node_count": _UINT32, "build_epoch": _UINT64}  # of the numbers about the file; the others are _UINT16
_MARKER = b"\xab\xcd\xefMaxMind.com"
_EMPTY = 16  # zero bytes between the tree and the data


def write_mmdb(path: Path, networks: Mapping[str, Mapping[str, Any]]) -> Path:
    """`networks`: "192.0.2.0/24" -> its record. They must not overlap."""
    nodes: list[list[int | str | None]] = [[None, None]]
    for text in networks:
        network = ipaddress.IPv4Network(text)
        at = 0
        for bit in range(network.prefixlen - 1):
            side = int(network.network_address) >> (31 - bit) & 1
            if nodes[at][side] is None:
                nodes.append([None, None])
                nodes[at][side] = len(nodes) - 1
            below = nodes[at][side]
            assert isinstance(below, int), "networks overlap"
            at = below
        nodes[at][int(network.network_address) >> (32 - network.prefixlen) & 1] = text
    data, offsets = b"", {}
    for text, record in networks.items():
        offsets[text] = len(data)
        data += _value(record)
    count = len(nodes)
    numbers = (
        count if side is None else count + _EMPTY + offsets[side] if isinstance(side, str) else side
        for node in nodes
        for side in node
    )
    tree = b"".join(struct.pack(">I", number)[1:] for number in numbers)
    about = {
        "binary_format_major_version": 2, "binary_format_minor_version": 0, "build_epoch": 1_700_000_000,
        "database_type": "Test", "description": {"en": "made for a test"}, "ip_version": 4, "languages": ["en"],
        "node_count": count, "record_size": 24,
    }  # fmt: skip
    typed = {
        name: _number(_KINDS.get(name, _UINT16), value) if isinstance(value, int) else _value(value)
        for name, value in about.items()
    }
    told = _head(_MAP, len(typed)) + b"".join(_value(name) + value for name, value in typed.items())
    path.write_bytes(tree + bytes(_EMPTY) + data + _MARKER + told)
    return path


def _value(value: Any) -> bytes:
    if isinstance(value, str):
        text = value.encode()
        return _head(_UTF8, len(text)) + text
    if isinstance(value, int):
        return _number(_UINT32, value)
    if isinstance(value, list):
        return _head(_ARRAY, len(value)) + b"".join(map(_value, value))
    return _head(_MAP, len(value)) + b"".join(_value(name) + _value(inner) for name, inner in value.items())


def _number(kind: int, value: int) -> bytes:
    size = (value.bit_length() + 7) // 8
    return _head(kind, size) + value.to_bytes(size)


def _head(kind: int, size: int) -> bytes:
    """The control byte, the second one of the kinds beyond 7, and the rest of a size of 29 or more (to 284)."""
    low, more = (size, b"") if size < 29 else (29, bytes([size - 29]))
    return (bytes([kind << 5 | low]) if kind <= 7 else bytes([low, kind - 7])) + more
