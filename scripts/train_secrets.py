"""Trains the generic tier of `wardship.secrets` and measures it on repositories it has not seen.

    python scripts/train_secrets.py CREDDATA_FOLDER [WEIGHTS] [--held-out tests/accuracy/secret_weights.json.xz]

Needs scikit-learn and the labelled lines (`creddata/*.jsonl`); neither is part of the project. For each repository a
model is trained on the others; its predictions there are the held-out ones, from which the published figures and the
calibration come. The weights that are shipped are then trained on all.
"""

from __future__ import annotations

import argparse
import json
import lzma
import math
import re
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.isotonic import IsotonicRegression

from wardship.secrets.candidates import candidates, worth_judging
from wardship.secrets.features import Place, features
from wardship.secrets.scorer import WEIGHTS, Trigrams

SEED = 20


@dataclass(frozen=True, slots=True)
class Example:
    repository: str
    record: int
    vector: list[float]
    true: bool
    sure: bool  # the label names this very value


def trigrams() -> str:
    """One digit for each of 27^3 sequences, from the identifiers and prose of Python's own library."""
    counts: Counter[tuple[int, int, int]] = Counter()
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        for word in re.findall(r"[A-Za-z]{3,}", path.read_text("utf-8", "replace")):
            for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", word):
                codes = [0, *(ord(c) - 96 for c in part.lower()), 0]
                counts.update(zip(codes, codes[1:], codes[2:], strict=False))
    pairs: Counter[tuple[int, int]] = Counter()
    for (one, two, _three), n in counts.items():
        pairs[one, two] += n
    digits = []
    for code in range(27**3):
        one, rest = divmod(code, 729)
        two, three = divmod(rest, 27)
        share = (counts[one, two, three] + 0.02) / (pairs[one, two] + 0.54) if pairs[one, two] else 0.003
        digits.append(str(max(0, min(9, round(-math.log2(share))))))
    return "".join(digits)


def examples(folder: Path, model: Trigrams) -> Iterator[Example]:
    number = 0
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text("utf-8").splitlines():
            record = json.loads(line)
            number += 1
            if record["truth"] == "X":
                continue
            place = Place.of(f"{record['scope']}/{record['file']}{record['ext']}")
            first = record["lines"][0].encode("utf-8", "surrogatepass").decode("latin-1")
            for one in candidates(first):
                if not worth_judging(one, first[one.begin : one.end], place.kind):
                    continue
                start, end = record["value_start"], record["value_end"]
                overlaps = start is not None and one.begin < (end or start + 1) and one.end > start
                if record["truth"] == "T" and not overlaps:
                    continue  # something else on the line of a secret: nobody judged it
                yield Example(
                    record["repo"], number, features(one, first, place, model.rarity), record["truth"] == "T", overlaps
                )


def fit(rows: list[Example]) -> GradientBoostingClassifier:
    per_record = Counter(row.record for row in rows)
    weights = np.array([1 / math.sqrt(per_record[row.record]) for row in rows])
    model = GradientBoostingClassifier(
        n_estimators=90,
        max_depth=3,
        learning_rate=0.12,
        subsample=0.7,
        min_samples_leaf=6,
        max_features=0.4,
        random_state=SEED,
    )
    model.fit(np.array([row.vector for row in rows]), np.array([row.true for row in rows]), sample_weight=weights)
    return model


def trees(model: GradientBoostingClassifier) -> list[list[list[float]]]:
    made = []
    for stage in model.estimators_[:, 0]:
        tree = stage.tree_
        nodes: list[list[float]] = []
        for i in range(tree.node_count):
            if tree.children_left[i] < 0:
                nodes.append([round(float(tree.value[i][0][0]) * model.learning_rate, 5)])
            else:
                threshold = float(tree.threshold[i])
                nodes.append(
                    [
                        int(tree.feature[i]),
                        float(f"{threshold:.6g}"),
                        int(tree.children_left[i]),
                        int(tree.children_right[i]),
                    ]
                )
        made.append(nodes)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("weights", type=Path, nargs="?", default=WEIGHTS)
    parser.add_argument("--held-out", type=Path, help="also write the weights trained without each repository, packed")
    args = parser.parse_args()
    digits = trigrams()
    rows = list(examples(args.folder, Trigrams(digits)))
    print(f"{len(rows)} candidates, {sum(r.true for r in rows)} true, {len(rows[0].vector)} features")
    held: dict[int, list[tuple[float, bool]]] = {}
    raw, true = [], []
    models = {}
    for repository in sorted({row.repository for row in rows}):
        model = fit([row for row in rows if row.repository != repository])
        models[repository] = model
        mine = [row for row in rows if row.repository == repository]
        for row, score in zip(mine, model.predict_proba(np.array([r.vector for r in mine]))[:, 1], strict=True):
            raw.append(score)
            true.append(row.true)
            held.setdefault(row.record, []).append((score, row.true))
    for threshold in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8):
        found = [any(s >= threshold for s, _ in each) for each in held.values()]
        truth = [each[0][1] for each in held.values()]
        hits = sum(f and t for f, t in zip(found, truth, strict=True))
        print(
            f"  {threshold}: precision {hits / max(1, sum(found)):.3f} "
            f"recall of candidates {hits / sum(truth):.3f} ({hits} of {sum(truth)})"
        )
    isotonic = IsotonicRegression(y_min=0.01, y_max=0.99, out_of_bounds="clip").fit(raw, true)
    points = sorted({float(x) for x in isotonic.X_thresholds_})
    calibration = [[round(x, 4), round(float(isotonic.predict([x])[0]), 4)] for x in points]
    final = fit(rows)
    save(args.weights, digits, final, calibration)
    if args.held_out:
        held_out = {name: weights(model, calibration) for name, model in models.items()}
        args.held_out.write_bytes(lzma.compress(json.dumps(held_out, separators=(",", ":")).encode(), preset=9))


def weights(model: GradientBoostingClassifier, calibration: list[list[float]]) -> dict[str, Any]:
    prior = float(model.init_.class_prior_[1])
    return {"base": round(math.log(prior / (1 - prior)), 5), "calibration": calibration, "trees": trees(model)}


def save(path: Path, digits: str, model: GradientBoostingClassifier, calibration: list[list[float]]) -> None:
    content = {"made_by": "scripts/train_secrets.py", **weights(model, calibration), "trigrams": digits}
    path.write_text(json.dumps(content, separators=(",", ":")) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
