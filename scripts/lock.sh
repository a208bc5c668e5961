#!/bin/bash
# Resolves the dependencies of pyproject.toml into hash-locked files that plain pip installs. Needs uv.
# (uv's own lock file names the registry's host on every line; these name packages, versions and hashes only.)
set -euo pipefail
cd "$(dirname "$0")/.."
lock() {
  uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra all "$@"
}
lock pyproject.toml -o requirements/run.lock
lock --group dev pyproject.toml -c requirements/run.lock -o requirements/dev.lock
lock --group dev --group servers pyproject.toml -c requirements/dev.lock -o requirements/servers.lock
