# The same commands on a laptop, in our CI and on GitHub. The first call makes .venv from the locks.
.DEFAULT_GOAL := help
.SUFFIXES:
.PHONY: help gate test lint format docs site validate bench mutants accuracy demo demo-networks lock locks-check clean venv

# The first Python that the locks are for and that can make a virtual environment; PYTHON=… names another.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
  if $$p -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null; \
  then echo $$p; break; fi; done)
MODELS ?=
EVIDENCE ?= ../shared
VENV := .venv
BIN := $(VENV)/bin
# What is in .venv already: what the gate runs with, what the tests need besides, torch.
GATE := $(VENV)/.gate
DEV := $(VENV)/.dev
VALIDATE := .venv-validate
SOLVER := .venv-lock
SITE := .venv-site
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_USER := 0

# Another PYTHON=… than the one that made .venv makes it anew.
VERSION := -c 'import sys; print(sys.version)'
ifneq ($(filter-out file,$(origin PYTHON)),)
ifneq ($(shell $(PYTHON) $(VERSION) 2>/dev/null),$(shell $(BIN)/python $(VERSION) 2>/dev/null))
.PHONY: $(GATE)
endif
endif

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16

gate: $(GATE) ## check models: make gate MODELS="a.onnx models/"; without MODELS, the demo
	@if [ -n "$(MODELS)" ]; then \
	  code=0; $(BIN)/npugate check $(MODELS) || code=$$?; \
	  if [ $$code -eq 0 ]; then word=PASS; elif [ $$code -eq 1 ]; then word=FAIL; else word=ERROR; fi; \
	  echo "gate verdict: $$word (exit status $$code)"; exit $$code; \
	else \
	  code=0; $(BIN)/npugate check examples/demo || code=$$?; \
	  if [ $$code -eq 1 ]; then echo "gate verdict: FAIL (exit status 1), as the demo intends"; \
	  else echo "gate verdict: exit status $$code, where the demo intends 1" >&2; exit 1; fi; \
	fi

# torch is large and of its own: EXPORT=0 goes without, and the tests that need it are skipped.
EXPORT ?= 1
ifeq ($(EXPORT),0)
TORCH :=
else
TORCH := $(VENV)/.export
endif

# A worker a core, four at most: each holds torch and the coverage of its own. A worker that is done
# takes tests from another. Bytecode is kept: the tests start some hundred programs.
test: lint $(TORCH) ## lint, types, pages, tests; EXPORT=0 goes without torch
	@if [ "$(EXPORT)" = 0 ]; then echo "EXPORT=0: the tests of npugate export are skipped"; fi
	$(BIN)/python -m npugate.docgen --check
	PYTHONDONTWRITEBYTECODE= NPUGATE_EXPORT=$(EXPORT) $(BIN)/python -m pytest \
	  --numprocesses auto --maxprocesses 4 --dist worksteal --cov --cov-report=term

lint: $(DEV) ## ruff and mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(DEV) ## rewrite the code as the formatter has it
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(DEV) ## rewrite the generated pages
	$(BIN)/python -m npugate.docgen

site: $(SITE)/.installed ## build the documentation's site into build/site; a warning fails it
	NO_MKDOCS_2_WARNING=1 $(SITE)/bin/python -m mkdocs build --strict --clean

validate: $(DEV) $(VALIDATE)/.installed ## what needs heavy or system tools
	tools/validate_repo.sh $(VALIDATE)/bin
	$(BIN)/python tools/validate_page.py || [ $$? -eq 77 ]  # 77: there is no browser, as it says
	$(BIN)/python tools/validate_stedgeai.py --npugate $(BIN)/npugate
	$(VALIDATE)/bin/python tools/validate_container.py --npugate $(BIN)/npugate --act $(VALIDATE)/bin/act
	$(BIN)/python tools/validate_action.py --act $(VALIDATE)/bin/act
	$(BIN)/python tools/check_locks.py

bench: $(DEV) ## CPU time and memory against the bare load and a peer
	$(BIN)/python tools/bench.py $(if $(PEER),--peer $(PEER)) $(if $(MODELS),--models $(MODELS))

fuzz: $(DEV) ## damaged models through check and fix, half an hour each; figures in docs/robustness.md
	$(BIN)/python tools/fuzz.py check --seconds 1800 --keep build/fuzz-check
	$(BIN)/python tools/fuzz.py fix --seconds 1800 --keep build/fuzz-fix

mutants: $(DEV) ## small changes of code against its tests, half an hour; docs/mutation.md has the survivors
	nice $(BIN)/python tools/mutation.py

venv: $(DEV) ## make .venv and stop

demo: $(DEV) ## the road to the board on the heart-rate network: repair, int8, evaluation, report
	@mkdir -p build/demo
	$(BIN)/python -m examples.rppg.data calibration 200 build/demo/calibration.npz
	$(BIN)/python -m examples.rppg.data test 200 build/demo/test.npz
	$(BIN)/npugate deploy --plan both --output-dir build/demo/deploy \
	  --model tests/fixtures/models/rppg_4d_fp32.onnx --clean tests/fixtures/models/rppg_stm32_clean_fp32.onnx \
	  --calibration build/demo/calibration.npz --data build/demo/test.npz --labels bpm --metric mae --unit BPM \
	  --limit=--max-mae-increase=1.5 --limit=--min-grade=GOOD --expect-range 30:180

demo-networks: $(VENV)/.export ## the same for three networks that are trained first (needs torch; minutes)
	for name in shapes keywords blobs; do \
	  metric=accuracy; [ $$name = blobs ] && metric=miou; folder=build/networks/$$name; \
	  $(BIN)/python -m examples.networks.train $$name $$folder && \
	  $(BIN)/npugate deploy --plan clean --output-dir $$folder/deploy --clean examples.networks.model:$$name \
	    --weights $$folder/weights.pt --calibration $$folder/calibration.npz --data $$folder/test.npz \
	    --labels label --metric $$metric --limit=--min-grade=GOOD || exit 1; \
	done

accuracy: $(DEV) ## estimates against real reports: make accuracy EVIDENCE=DIR
	$(BIN)/python tools/accuracy.py $(EVIDENCE)

lock: $(SOLVER)/.installed ## solve requirements/*.in again. UPGRADE=2026-11-01 takes what was new that day
	for name in pip build run dev validate release lock site; do \
	  $(SOLVE) --generate-hashes requirements/$$name.in --output-file requirements/$$name.lock || exit 1; \
	done
	$(SOLVE) -c requirements/dev.lock requirements/export.in --output-file requirements/export.lock

SOLVE = $(SOLVER)/bin/uv pip compile --quiet $(if $(UPGRADE),--upgrade --exclude-newer $(UPGRADE)) --no-config \
  --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

locks-check: ## install each lock anew with the oldest and the newest pip, then make gate in a fresh clone
	$(HAVE_PYTHON)
	$(PYTHON) tools/check_locks.py

clean: ## remove what make made
	rm -rf $(VENV) $(VALIDATE) $(SOLVER) $(SITE) build dist .coverage .mypy_cache .pytest_cache .ruff_cache

HAVE_PYTHON = @test -n "$(PYTHON)" && \
  $(PYTHON) -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' || \
  { echo "npugate needs Python 3.11 to 3.14 with venv and pip; name one: make PYTHON=…" >&2; exit 1; }

$(GATE): requirements/pip.lock requirements/build.lock requirements/run.lock pyproject.toml setup.py
	$(HAVE_PYTHON)
	$(PYTHON) -m venv --clear $(VENV)
	tools/install_locks.sh $(VENV) build run
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): $(GATE) requirements/dev.lock
	tools/install_locks.sh $(VENV) dev
	@touch $@

# By version and not by hash: an index may have another build of torch (requirements/export.in).
$(VENV)/.export: $(DEV) requirements/export.in requirements/export.lock
	$(BIN)/python -m pip install --quiet -r requirements/export.in -c requirements/export.lock
	@touch $@

$(VALIDATE)/.installed $(SOLVER)/.installed $(SITE)/.installed: %/.installed: requirements/pip.lock
	$(HAVE_PYTHON)
	$(PYTHON) -m venv --clear $*
	tools/install_locks.sh $* $(LOCK)
	@touch $@
$(VALIDATE)/.installed: LOCK := validate
$(VALIDATE)/.installed: requirements/validate.lock
$(SOLVER)/.installed: LOCK := lock
$(SOLVER)/.installed: requirements/lock.lock
$(SITE)/.installed: LOCK := site
$(SITE)/.installed: requirements/site.lock
