"""Benchmarks: whole processes, ratios within one run, growth exponents over three sizes. `make bench` runs them all.

Nothing here is a test. A figure is published with the command that measured it; a peer that is missing is "not run",
never a win.
"""
