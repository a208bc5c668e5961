"""`wardship --help`: CPU seconds beside an empty interpreter, in the same run. Limit: 0.3 CPU seconds."""

from __future__ import annotations

from bench.harness import median, python


def run() -> None:
    ours = median(lambda: python("wardship", "--help"), 7)
    floor = median(lambda: python("pass;"), 7)
    print(f"wardship --help     {ours.cpu_s:.3f} CPU s  {ours.wall_s:.3f} s wall  {ours.peak_mb:.0f} MB")
    print(f"empty interpreter   {floor.cpu_s:.3f} CPU s  {floor.wall_s:.3f} s wall  {floor.peak_mb:.0f} MB")
    print(f"limit               0.300 CPU s  {'kept' if ours.cpu_s < 0.3 else 'BROKEN'}")
