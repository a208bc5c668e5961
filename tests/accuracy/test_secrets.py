"""How the detection of secrets fares on data that others labelled; floors in floors.toml, figures printed.

The generic tier is trained on CredData, so each of its 13 repositories is measured with weights that were trained on
the other twelve (`secret_weights.json.xz`, written by scripts/train_secrets.py). leaky-repo was never trained on. The
provider table was written with the provider samples in view: their figure shows breadth, and is not blind (ADR 0021).
"""

from __future__ import annotations

import json
import lzma
import tomllib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.accuracy.secret_sets import Finder, Record, Score, Sets, load, risk_lines, score
from wardship.model.exposure import DetectorTier
from wardship.secrets import Engine, Hit, load_engine, scorer

HERE = Path(__file__).parent
FLOORS = tomllib.loads((HERE / "floors.toml").read_text(encoding="utf-8"))["secrets"]


@pytest.fixture(scope="module")
def sets(shared: Path) -> Sets:
    return load(shared / "data" / "secrets" / "secrets.tar.zst")


@pytest.fixture(scope="module")
def held_out(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Per repository a file of weights that were trained without it."""
    folder = tmp_path_factory.mktemp("weights")
    trigrams = json.loads(scorer.WEIGHTS.read_bytes())["trigrams"]
    packed: dict[str, Any] = json.loads(lzma.decompress((HERE / "secret_weights.json.xz").read_bytes()))
    for name, weights in packed.items():
        (folder / name).write_text(json.dumps({**weights, "trigrams": trigrams}))
    return {name: folder / name for name in packed}


def lines(hit: Hit) -> set[int]:
    return set(range(hit.line, hit.line + hit.value.reveal().count("\n") + 1))


def finder(engine: Engine, tier: DetectorTier | None = None) -> Finder:
    def find(texts: Sequence[tuple[str, bytes]]) -> list[set[int]]:
        return [
            set().union(*(lines(hit) for hit in engine.scan(content, path=path) if tier in (None, hit.tier)))
            for path, content in texts
        ]

    return find


def held_out_score(sets: Sets, held_out: dict[str, Path], tier: DetectorTier | None = None, **settings: Any) -> Score:
    total = [0, 0, 0, 0]
    for name, weights in held_out.items():
        records = [one for one in sets.creddata if one.group == name]
        part = score(records, finder(load_engine(weights=weights, **settings), tier))
        figures = (part.found_true, part.true, part.found_false, part.false)
        total = [one + two for one, two in zip(total, figures, strict=True)]
    return Score(*total)


def test_creddata(sets: Sets, held_out: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert {one.group for one in sets.creddata} == set(held_out)
    rows = {
        "all, with notices": held_out_score(sets, held_out, notices=True),
        "all, without notices": held_out_score(sets, held_out),
        "provider tier": held_out_score(sets, held_out, DetectorTier.PROVIDER),
        "provider tier with notices": held_out_score(sets, held_out, DetectorTier.PROVIDER, notices=True),
        "generic tier": held_out_score(sets, held_out, DetectorTier.GENERIC),
    }
    with capsys.disabled():
        print("\nCredData, each repository held out   precision  recall    found true/false")
        for name, figures in rows.items():
            shares = f"{figures.precision:10.3f}{figures.recall:8.3f}"
            print(f"  {name:34}{shares}{figures.found_true:12}/{figures.found_false}")
    floors = FLOORS["creddata"]
    whole, without = rows["all, with notices"], rows["all, without notices"]
    assert whole.precision >= floors["precision"]
    assert whole.recall >= floors["recall"]
    assert without.precision >= floors["precision_without_notices"]
    assert rows["provider tier"].precision >= floors["provider_precision"]
    assert rows["generic tier"].precision >= floors["generic_precision"]


def test_leaky_repo(sets: Sets, capsys: pytest.CaptureFixture[str]) -> None:
    found, risks = risk_lines(sets.leaky, finder(load_engine())), sum(risks for *_, risks in sets.leaky)
    with capsys.disabled():
        print(f"\nleaky-repo: {found} of {risks} risk lines")
    assert found / risks >= FLOORS["leaky_repo"]["risk_lines"]


def test_provider_samples(sets: Sets, capsys: pytest.CaptureFixture[str]) -> None:
    """Most samples are made up ("1234567890abcdef"): what the engine says of those has little confidence."""
    figures: dict[str, Score] = {}
    for name, settings in (("all confidences", {"least": 0.0}), ("as it comes", {})):
        for group in ("kingfisher", "gitleaks"):
            records: list[Record] = [one for one in sets.samples if one.group == group]
            for tier in (None, DetectorTier.PROVIDER):
                label = f"{group}, {name}, {tier.value if tier else 'any'} tier"
                figures[label] = score(records, finder(load_engine(**settings), tier))
    with capsys.disabled():
        print("\nprovider samples")
        for label, one in figures.items():
            print(f"  {label:50}{one.found_true:5} of {one.true}, {one.found_false} of {one.false} that are none")
    floors = FLOORS["provider_samples"]
    assert figures["kingfisher, all confidences, any tier"].recall >= floors["found"]
    assert figures["kingfisher, as it comes, any tier"].recall >= floors["found_as_it_comes"]
    assert figures["gitleaks, as it comes, any tier"].recall >= floors["gitleaks_found"]
    quiet = figures["gitleaks, as it comes, any tier"]
    assert 1 - quiet.found_false / quiet.false >= floors["gitleaks_left_alone"]


def test_confidence_is_calibrated(sets: Sets, held_out: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """Of the findings with a confidence, that share is true; the surest finding on a labelled line counts."""
    told: list[tuple[float, bool]] = []
    for name, weights in held_out.items():
        engine = load_engine(weights=weights, least=0.05)
        for record in sets.creddata:
            if record.group == name:
                hits = engine.scan(record.content, path=record.path)
                sure = [hit.confidence for hit in hits if lines(hit) & record.lines]
                told += [(max(sure), record.true)] if sure else []
    bins = Counter(min(9, int(confidence * 10)) for confidence, _ in told)
    right = Counter(min(9, int(confidence * 10)) for confidence, true in told if true)
    mean = {n: sum(c for c, _ in told if min(9, int(c * 10)) == n) / bins[n] for n in bins}
    brier = sum((confidence - true) ** 2 for confidence, true in told) / len(told)
    error = sum(bins[n] * abs(mean[n] - right[n] / bins[n]) for n in bins) / len(told)
    with capsys.disabled():
        print("\nconfidence   findings  said   true")
        for n in sorted(bins):
            print(f"  {n / 10:.1f}..{(n + 1) / 10:.1f} {bins[n]:10}{mean[n]:7.2f}{right[n] / bins[n]:7.2f}")
        print(f"  Brier score {brier:.3f}, expected calibration error {error:.3f}")
    assert brier <= FLOORS["calibration"]["brier_at_most"]
    assert error <= FLOORS["calibration"]["error_at_most"]


def test_what_makes_it_fast_changes_no_answer(sets: Sets) -> None:
    """With hyperscan and with `re`; a text seen for the first time, seen before, and after other texts."""
    texts = [(one.path, one.content) for one in sets.creddata + sets.samples]
    texts += [(path, content) for path, content, _risks in sets.leaky]

    def answers(engine: Engine, texts: Sequence[tuple[str, bytes]]) -> list[list[Hit]]:
        return [engine.scan(content, path=path) for path, content in texts]

    fast, plain = load_engine(notices=True), load_engine(notices=True, fast=False)
    first = answers(fast, texts)
    assert sum(map(len, first)) > 1_000
    assert answers(fast, texts) == first, "what is remembered of a line"
    assert answers(plain, texts[::-1])[::-1] == first, "the same without hyperscan, in another order"


def test_no_value_of_the_sets_is_in_what_is_shown(sets: Sets) -> None:
    engine = load_engine()
    shown = 0
    for record in sets.creddata + sets.samples:
        for hit in engine.scan(record.content, path=record.path):
            value = hit.value.reveal()
            if hit.public_id != value and len(value) > 12:
                shown += 1
                assert value not in repr(hit)
    assert shown > 500
