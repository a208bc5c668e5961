"""`python -m bench [NAME ...]`: runs the named benchmarks, or all, one after another."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import bench

_NOT_BENCHMARKS = {"harness", "__main__"}


def main() -> int:
    names = sorted(m.name for m in pkgutil.iter_modules(bench.__path__) if m.name not in _NOT_BENCHMARKS)
    wanted = sys.argv[1:] or names
    unknown = set(wanted) - set(names)
    if unknown:
        print(f"no such benchmark: {', '.join(sorted(unknown))}; there are: {', '.join(names)}")
        return 2
    for name in wanted:
        print(f"\n== {name}")
        importlib.import_module(f"bench.{name}").run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
