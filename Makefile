# Two commands do everything, set-up included: `make demo` shows the main job, `make test` proves it.
# A fresh Debian 12 needs git, make and python3; what else is missing is installed where you are root, else the
# one line to type is printed.

VENV ?= .venv
BIN := $(VENV)/bin
export PYTHON := $(abspath $(BIN))/python
PYTEST := $(BIN)/python -m pytest
SIZE ?= m

.PHONY: help demo test test-servers test-k8s chaos bench lint types imports check docs messages lock clean stop-servers

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

demo: ## read the demo organisation and show inventory, coverage and findings (SIZE=s|m|l)
	@scripts/setup.sh run $(VENV)
	@$(BIN)/wardship demo --size $(SIZE)

test: ## every test that starts quickly, real PostgreSQL, OpenBao, moto and ministack included
	@scripts/setup.sh test $(VENV)
	$(PYTEST) -n 2 --dist worksteal -m "not servers and not k8s and not chaos"

test-servers: ## the tests that need a slow server (Spark, a Samba domain controller)
	@scripts/setup.sh servers $(VENV)
	$(PYTEST) -m servers

test-k8s: ## the tests against a Kubernetes API server (none yet: they come with that connector)
	@scripts/setup.sh test $(VENV)
	@$(PYTEST) -m k8s || { [ $$? = 5 ] && echo "no Kubernetes tests yet: they come with that connector"; }

chaos: ## the long grids: every double kill, 3,000 fault schedules, random chains
	@scripts/setup.sh test $(VENV)
	$(PYTEST) -n 2 -m chaos

bench: ## ratios beside peers or limits, measured in one run
	@scripts/setup.sh test $(VENV)
	$(BIN)/python -m bench

lint: ## style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: ## mypy, strict
	$(BIN)/mypy

imports: ## the layers, kept by import-linter
	$(BIN)/lint-imports --no-cache | grep -vE '^[^A-Za-z0-9]*$$'

check: lint types imports test ## what to run before a commit

docs: ## the documentation site, in site/
	@scripts/setup.sh test $(VENV)
	$(BIN)/zensical build --clean

messages: ## bring the catalogues up to date with the texts in the code
	$(BIN)/python scripts/messages.py update
	$(BIN)/python scripts/messages.py compile

lock: ## resolve the dependencies again (needs uv)
	scripts/lock.sh

stop-servers: ## stop the test servers that are still up
	-@for s in tests/servers/*.sh; do case $$s in */common.sh) ;; *) bash $$s stop 2>/dev/null || true ;; esac; done

clean: stop-servers ## remove what was built here
	rm -rf $(VENV) site dist .mypy_cache .ruff_cache .hypothesis .servers
