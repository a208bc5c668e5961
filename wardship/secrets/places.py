"""What kind of place a file is, which environment it speaks of, and whether it is an example: from its path."""

from __future__ import annotations

from wardship.model.exposure import Place
from wardship.sdk.environment import environment_of


def place_of(path: str, head: bytes = b"") -> Place:
    """The kind of place; `head` is the beginning of the file."""
    name = path.replace("\\", "/").rsplit("/", 1)[-1].lower()
    if name.startswith(".env"):
        return Place.DOTENV
    return Place.CONTAINER if head.startswith((b"apiVersion:", b"kind:")) else Place.FILE


def environment_of_path(path: str) -> str | None:
    """The environment that the path names, normalised; None: it names none, or several."""
    return environment_of(path)


def is_example(path: str) -> bool:
    """Whether the path lies in a folder of tests, fixtures, examples, documentation or other people's code."""
    return any(part in ("tests", "examples", "docs", "vendor") for part in path.lower().split("/")[:-1])
