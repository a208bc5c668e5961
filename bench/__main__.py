"""`python -m bench [--large] [NAME ...]`: runs the named benchmarks, or all, one after another."""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
import time

import bench
from bench.harness import LARGE

_NOT_BENCHMARKS = {"cloudtrail_files", "harness", "provider", "__main__"}


def names() -> list[str]:
    """The benchmarks that there are: every module of this package that is no help of others."""
    return sorted(m.name for m in pkgutil.iter_modules(bench.__path__) if m.name not in _NOT_BENCHMARKS)


def main() -> int:
    wanted = [word for word in sys.argv[1:] if word != "--large"]
    if "--large" in sys.argv[1:]:
        os.environ[LARGE] = "1"
    unknown = set(wanted) - set(names())
    if unknown:
        print(f"no such benchmark: {', '.join(sorted(unknown))}; there are: {', '.join(names())}")
        return 2
    for name in wanted or names():
        print(f"\n== {name} (load {os.getloadavg()[0]:.1f})", flush=True)
        began = time.monotonic()
        importlib.import_module(f"bench.{name}").run()
        print(f"   {time.monotonic() - began:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
