"""The message catalogues: `extract`, `update`, `check` and `compile`.

    python scripts/messages.py update     bring wardship.pot and every .po up to date with the texts in the code
    python scripts/messages.py check      fail when a text is missing from a catalogue, or a translation is
    python scripts/messages.py compile    .po -> .mo (the build does the same; .mo files are not committed)

Texts come from Python (`_`, `N_`, `ngettext`; so the manifests of connectors), from Jinja templates, from the rules,
frameworks, detections and hunts, from the sources (what `telemetry sources` lists of modules and declared logs), and
from click, whose own words are listed below.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from wardship.sdk.detection import detection_messages
from wardship.sdk.hunt import hunt_messages
from wardship.sdk.registry import source, source_names
from wardship.sdk.rule import rule_messages

ROOT = Path(__file__).resolve().parents[1]
LOCALE = ROOT / "wardship" / "data" / "locale"
LANGUAGES = ("es",)
KEYWORDS: dict[str, tuple[int, ...] | None] = {"_": None, "N_": None, "ngettext": (1, 2)}
# Words of click 8.5 that our users meet; click takes them from our catalogue (sdk.i18n.speak_everywhere).
CLICK = (
    "Usage:",
    "Usage: ",
    "Options",
    "Arguments",
    "Commands",
    "Show this message and exit.",
    "default: {default}",
    "[default: {default}]",
    "required",
    "Missing command.",
    "No such command {name!r}.",
    "No such option {name!r}.",
    "Missing argument",
    "Missing option",
    "Missing parameter",
    "Got unexpected extra argument ({args})",
    "Error: {message}",
    "Try '{command} {option}' for help.",
    "Missing {param_type}",
    "Missing parameter: {param_name}",
    "Invalid value: {message}",
    "Invalid value for {param_hint}: {message}",
    "{value!r} is not a valid {number_type}.",
    "Option {name!r} requires an argument.",
)
_PLACEHOLDER = re.compile(r"%\((\w+)\)[-#0-9.]*[a-zA-Z]|\{[a-z_!]*\w*\}|%%")


def found() -> Iterator[tuple[str, int, str | tuple[str, ...]]]:
    """(file, line, message) of every text that a user may read."""
    for path in sorted((ROOT / "wardship").rglob("*.py")):
        for line, message, _comments, _context in extract_from_file("python", path, keywords=KEYWORDS):
            yield str(path.relative_to(ROOT)), line, message
    for path in sorted((ROOT / "wardship").rglob("*.j2")):
        for line, message, _comments, _context in extract_from_file(
            "jinja2.ext:babel_extract",
            path,
            keywords=KEYWORDS,
            options={"trim_blocks": "true", "newstyle_gettext": "true"},
        ):
            yield str(path.relative_to(ROOT)), line, message
    for place, message in (*rule_messages(), *detection_messages(), *hunt_messages()):
        yield f"wardship/{place}", 1, message
    for name in source_names():
        told = source(name).MANIFEST
        yield from (("sources", 1, message) for message in (told.title, *told.forms))
    for message in CLICK:
        yield "click", 1, message


def extract() -> Catalog:
    """The catalogue of all messages, in English."""
    catalogue = Catalog(project="Wardship", version="0.1.0", copyright_holder="the Wardship authors", fuzzy=False)
    for file, line, message in found():
        if message:
            catalogue.add(message, locations=[(file, line)] if file.endswith(".py") else [(file, 1)])
    return catalogue


def po_file(language: str) -> Path:
    """The catalogue of one language."""
    return LOCALE / language / "LC_MESSAGES" / "wardship.po"


def load(language: str) -> Catalog:
    """The catalogue of one language; empty before the first time."""
    path = po_file(language)
    if not path.exists():
        return Catalog(locale=language, project="Wardship")
    with path.open("rb") as stream:
        return read_po(stream, locale=language)


def update() -> None:
    """Brings every catalogue up to date. What is new is left empty, never guessed."""
    template = extract()
    for language in LANGUAGES:
        catalogue = load(language)
        catalogue.update(template, no_fuzzy_matching=True)
        catalogue.obsolete.clear()
        po_file(language).parent.mkdir(parents=True, exist_ok=True)
        with po_file(language).open("wb") as stream:
            write_po(stream, catalogue, width=110, sort_output=True, no_location=True, omit_header=False)


def problems() -> list[str]:
    """What is wrong with the catalogues, one line each."""
    template = extract()
    wrong = []
    for language in LANGUAGES:
        catalogue = load(language)
        for message in template:
            if not message.id:
                continue
            there = catalogue.get(message.id)
            shown = str(message.id)[:80]
            if there is None:
                wrong.append(f"{language}: not in the catalogue: {shown!r}")
                continue
            texts = there.string if isinstance(there.string, (list, tuple)) else [there.string]
            if not all(texts):
                wrong.append(f"{language}: not translated: {shown!r}")
            elif there.fuzzy:
                wrong.append(f"{language}: fuzzy: {shown!r}")
            else:
                ids = message.id if isinstance(message.id, (list, tuple)) else [message.id]
                expected = sorted(m.group() for m in _PLACEHOLDER.finditer(str(ids[-1])))
                if any(sorted(m.group() for m in _PLACEHOLDER.finditer(str(text))) != expected for text in texts):
                    wrong.append(f"{language}: placeholders differ: {shown!r}")
    return wrong


def compile_catalogues() -> None:
    """Writes the .mo files that the program reads."""
    for language in LANGUAGES:
        with po_file(language).with_suffix(".mo").open("wb") as stream:
            write_mo(stream, load(language))


def main(word: str) -> int:
    """Runs one of the four commands and returns its exit code."""
    if word == "extract":
        for message in extract():
            if message.id:
                print(message.id)
    elif word == "update":
        update()
    elif word == "compile":
        compile_catalogues()
    elif word == "check":
        for line in problems():
            print(line)
        return 1 if problems() else 0
    else:
        print(__doc__)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else ""))
