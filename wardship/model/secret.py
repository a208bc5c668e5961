"""A secret value on its way from where it is kept to the one call that needs it."""

from __future__ import annotations

import hmac
from typing import NoReturn


class Secret:
    """Holds a value that must not be shown: prints as `***`, does not pickle, compares in constant time.

    `reveal()` is the only way to the value; the linter limits who may call it (connectors and sdk).
    Python cannot wipe memory, so none is promised: the process that holds secrets is short-lived instead.
    """

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        """The value. Hand it to the call that needs it and keep no copy."""
        return self.__value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self.__value.encode(), other.__value.encode())

    def __hash__(self) -> NoReturn:
        raise TypeError("a Secret is not a dictionary key")

    def __bool__(self) -> bool:
        return bool(self.__value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret does not pickle")

    def __deepcopy__(self, memo: object) -> Secret:
        return self
