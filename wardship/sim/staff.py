"""The people of the demo organisation: made-up names, Spanish and English, some of whom have left.

Everything is drawn from the generator that is handed in, so the same seed gives the same people.
"""

from __future__ import annotations

import random
import unicodedata
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

DOMAIN = "acme-iberica.example"
LEAVER_SHARE = 0.07

_SPANISH_GIVEN = (
    "Lucía Martina Paula Daniela Alba Carmen Sara Nuria Elena Irene Marta Pilar Rocío Inés Noelia Beatriz Lorena "
    "Hugo Mateo Pablo Álvaro Adrián Diego Javier Sergio Iván Rubén Óscar Íñigo Jordi Unai Xavier Andrés Gonzalo"
).split()
_SPANISH_FAMILY = (
    "García Martínez López Sánchez Fernández Gómez Jiménez Ruiz Hernández Díaz Moreno Muñoz Álvarez Romero Alonso "
    "Gutiérrez Navarro Torres Domínguez Vázquez Ramos Gil Serrano Blanco Molina Suárez Ortega Delgado Castro Núñez "
    "Ibáñez Echeverría Puig Ferrer Iglesias Peña Cabrera Vidal Soler Aguirre"
).split()
_ENGLISH_GIVEN = (
    "Olivia Emma Grace Hannah Ruth Alice Nora Claire James Oliver Henry Jack Thomas Peter Simon Neil Duncan Rhys"
).split()
_ENGLISH_FAMILY = (
    "Smith Jones Taylor Brown Wilson Evans Walker Wright Hughes Green Hall Wood Clarke Turner Hill Cooper Ward Shaw"
).split()
DEPARTMENTS = (
    "Platform",
    "Claims",
    "Pricing",
    "Data",
    "Security",
    "Customer Service",
    "Finance",
    "Siniestros",
    "Actuarial",
    "Sector público",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Employee:
    """One person of the directory. `active` False: the account is disabled, the person has left."""

    id: str
    name: str
    email: str
    department: str
    active: bool


def employees(count: int, draw: random.Random) -> Sequence[Employee]:
    """`count` people with distinct addresses, about 7 % of whom have left."""
    people: list[Employee] = []
    taken: set[str] = set()
    while len(people) < count:
        if draw.random() < 0.7:
            first, last = draw.choice(_SPANISH_GIVEN), f"{draw.choice(_SPANISH_FAMILY)} {draw.choice(_SPANISH_FAMILY)}"
        else:
            first, last = draw.choice(_ENGLISH_GIVEN), draw.choice(_ENGLISH_FAMILY)
        stem = _ascii(f"{first}.{last.split()[0]}")
        address = f"{stem}@{DOMAIN}"
        number = 2
        while address in taken:
            address, number = f"{stem}{number}@{DOMAIN}", number + 1
        taken.add(address)
        people.append(
            Employee(
                id=str(uuid.UUID(int=draw.getrandbits(128), version=4)),
                name=f"{first} {last}",
                email=address,
                department=draw.choice(DEPARTMENTS),
                active=draw.random() >= LEAVER_SHARE,
            )
        )
    return people


def _ascii(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.lower())
    return "".join(letter for letter in decomposed if letter.isascii() and (letter.isalnum() or letter == "."))
