"""Reading cells by the expressions of a mapping: a column, the first of several, a constant, a template, a table.

There is no language here that could run: an expression is data, and a text is only ever looked up, split or joined.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from functools import lru_cache
from typing import TypeVar
from zoneinfo import ZoneInfo

from wardship.connectors.file.dates import DateForm, day_of, instant_of
from wardship.model.errors import DataError
from wardship.sdk.connector import Drift
from wardship.sdk.redact import is_secret_name, redact_text

Cells = Mapping[str, str | list[str] | None]
"""The mapped columns of one row."""

MAX_VALUES = 10_000  # of one cell
_TRUE = frozenset("true yes y 1 x on si sí s verdadero enabled active activo activa habilitado habilitada".split())
_FALSE = frozenset("false no n 0 off falso disabled inactive inactivo inactiva deshabilitado deshabilitada".split())
_PLACE = re.compile(r"\{([^{}]+)\}")
_Word = TypeVar("_Word", bound=StrEnum)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """How one field gets its text. Exactly one of `columns`, `constant` and `template` is given."""

    columns: tuple[str, ...] = ()  # the first that is not empty
    constant: str | None = None
    template: str | None = None  # "{host}\\{user}"; empty when one of its columns is
    table: Mapping[str, str] | None = None  # by folded text; what is not in it is unknown
    split: str | None = None
    lower: bool = False
    trim: bool = True
    empty: frozenset[str] = frozenset()  # folded texts that mean nothing: "-", "n/a"
    never: frozenset[str] = frozenset()  # folded texts that say: not once
    dates: tuple[DateForm, ...] = ()
    zone: ZoneInfo | None = None
    authority: str | None = None  # a template: who issued the id; None: the mapping's system

    @property
    def names(self) -> tuple[str, ...]:
        """Every column that it looks at."""
        return (*self.columns, *_PLACE.findall(self.template or ""), *_PLACE.findall(self.authority or ""))

    def texts(self, cells: Cells) -> list[str]:
        """All values, without the empty ones; one, unless the cell holds several or is split."""
        if self.constant is not None:
            return [self.constant]
        if self.template is not None:
            filled = fill(self.template, cells)
            return [self._spelt(filled)] if filled is not None else []
        for column in self.columns:
            found = [text for text in map(self._spelt, self._pieces(cells.get(column))) if self._counts(text)]
            if found:
                return found
        return []

    def text(self, cells: Cells) -> str | None:
        """The only value; None: empty. Raises DataError for several."""
        found = self.texts(cells)
        if len(found) > 1:
            raise DataError(f"{self.label}: {len(found)} values where one is expected")
        return found[0] if found else None

    def issuer(self, cells: Cells, default: str) -> str:
        """The authority of the id that this expression gives. Raises DataError when its columns are empty."""
        if self.authority is None:
            return default
        filled = fill(self.authority, cells)
        if filled is None:
            raise DataError(f"{self.label}: its authority {self.authority[:80]!r} has an empty column")
        return filled

    def says_never(self, cells: Cells) -> bool:
        """Whether the cell holds one of the words for "not once"."""
        if not self.never:
            return False
        for column in self.columns:
            values = [fold(text) for text in pieces(cells.get(column))] or [""]
            if values != [""]:
                return values[0] in self.never
        return "" in self.never

    @property
    def label(self) -> str:
        """What a reason calls it."""
        return " or ".join(f"column {name[:80]!r}" for name in self.names) or "a constant"

    def _pieces(self, value: str | list[str] | None) -> Iterator[str]:
        for text in pieces(value):
            yield from text.split(self.split) if self.split else (text,)

    def _spelt(self, text: str) -> str:
        text = text.strip() if self.trim else text
        return text.lower() if self.lower else text

    def _counts(self, text: str) -> bool:
        if not text or text.isspace():
            return False
        return not (self.empty or self.never) or fold(text) not in self.empty | self.never


@lru_cache(maxsize=16_384)  # the same words come in every row
def fold(text: str) -> str:
    """One spelling for comparing: composed, without case, single blanks."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def bare(text: str) -> str:
    """Without accents."""
    return "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))


def looks_secret(name: str) -> bool:
    """Whether a column of this name holds secrets, in English or Spanish."""
    plain = bare(name)
    return is_secret_name(plain) or bool({"contrasena", "secreto", "secretos"} & set(plain.casefold().split()))


def pieces(value: str | list[str] | None) -> list[str]:
    """The values of a cell."""
    if value is None:
        return []
    found = [value] if isinstance(value, str) else value
    if len(found) > MAX_VALUES:
        raise DataError(f"a cell of {len(found)} values")
    return found


def fill(template: str, cells: Cells) -> str | None:
    """The template with its columns; None when one of them is empty. Braces in the cells stay text."""
    missing = False

    def put(place: re.Match[str]) -> str:
        nonlocal missing
        found = pieces(cells.get(place[1]))
        text = found[0].strip() if found else ""
        missing = missing or not text
        return text

    filled = _PLACE.sub(put, template)
    return None if missing else filled


class Reading:
    """Reads typed fields of one row. What a table or a word list does not know is unknown, and counted as drift."""

    def __init__(self, cells: Cells, drift: Drift, place: str) -> None:
        self.cells, self._drift, self._place = cells, drift, place

    def text(self, expression: Expression | None) -> str | None:
        if expression is None:
            return None
        found = expression.text(self.cells)
        return self._looked_up(expression, found) if found is not None else None

    def texts(self, expression: Expression | None) -> list[str]:
        if expression is None:
            return []
        found = (self._looked_up(expression, text) for text in expression.texts(self.cells))
        return [text for text in found if text is not None]

    def free(self, expression: Expression | None) -> str | None:
        """A text that people write: whatever looks like a secret in it is masked."""
        found = self.text(expression)
        return redact_text(found) if found else None

    def flag(self, expression: Expression | None) -> bool | None:
        found = self.text(expression)
        if found is None:
            return None
        low = fold(found)
        if low in _TRUE or low in _FALSE:
            return low in _TRUE
        self._unknown(expression, found)
        return None

    def word(self, expression: Expression | None, words: type[_Word]) -> tuple[_Word | None, str | None]:
        """(the word, what the file says): None, and the text, where it is none of ours."""
        if expression is None:
            return None, None
        raw = expression.text(self.cells) if expression.constant is None else None
        found = self.text(expression)
        if found is None:
            return None, raw
        try:
            return words(fold(found).replace(" ", "_")), raw
        except ValueError:
            self._unknown(expression, found)
            return None, raw

    def instant(self, expression: Expression | None) -> datetime | None:
        found = self.text(expression)
        if expression is None or found is None:
            return None
        try:
            return instant_of(found, expression.dates, expression.zone)
        except ValueError:
            raise DataError(f"{expression.label}: no date of a declared form") from None

    def day(self, expression: Expression | None) -> date | None:
        found = self.text(expression)
        if expression is None or found is None:
            return None
        try:
            return day_of(found, expression.dates)
        except ValueError:
            raise DataError(f"{expression.label}: no date of a declared form") from None

    def share(self, expression: Expression | None) -> float | None:
        """A number from 0 to 1, or a percentage; a comma may be its decimal sign."""
        found = self.text(expression)
        if expression is None or found is None:
            return None
        plain = found.replace(",", ".").replace(" ", "")
        if not re.fullmatch(r"\d{1,3}(?:\.\d{1,6})?%?", plain, re.ASCII):
            raise DataError(f"{expression.label}: no number from 0 to 1")
        number = float(plain.rstrip("%")) / (100 if plain.endswith("%") else 1)
        if number > 1:
            raise DataError(f"{expression.label}: no number from 0 to 1")
        return number

    def _looked_up(self, expression: Expression, text: str) -> str | None:
        if expression.table is None:
            return text
        found = expression.table.get(fold(text))
        if found is None:
            self._unknown(expression, text)
        return found

    def _unknown(self, expression: Expression | None, text: str) -> None:
        column = expression.names[0] if expression and expression.names else "constant"
        self._drift.unknown_value(f"file.{self._place}.{column}"[:120], str(redact_text(text)))
