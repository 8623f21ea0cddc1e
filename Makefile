# The two commands of the README are `make demo` and `make test`. Everything runs in .venv, which makes itself.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO := --stream prostate-sites --phantom --strategy segreg --preset smoke

JOBS ?= 2
INPUTS ?= 12000

.PHONY: demo test slow smoke check docs bench fuzz results results-check clean
.DEFAULT_GOAL := test

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,docs]'
	touch $@

demo: $(STAMP)  ## train SegReg through the six prostate sites of the phantom, then print and re-check the result
	$(BIN)/clbench run $(DEMO) --out runs
	$(BIN)/clbench table runs
	$(BIN)/clbench verify runs

test: $(STAMP)  ## the fast tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'not slow' -n auto --dist loadgroup

slow: $(STAMP)  ## the tests that take more than ten seconds
	$(BIN)/python -m pytest -m slow

smoke: $(STAMP)  ## every strategy once, on a tiny phantom
	rm -rf runs/smoke
	$(BIN)/clbench suite benchmarks/smoke.toml --jobs $(JOBS) --out runs/smoke

check: $(STAMP)  ## formatting, lint, types, import rules, docs
	VENV=$(VENV) scripts/check

docs: $(STAMP)  ## the documentation as a web site, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

bench: $(STAMP)  ## the speed harness; BENCH="--device cuda" and the like; see docs/speed.md
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,docs,nnunet]'
	$(BIN)/python -m benchmarks.speed $(BENCH)

results: $(STAMP)  ## everything that is derived from results/runs, written anew
	$(BIN)/python scripts/results.py

results-check: $(STAMP)  ## names what results would write; fails when there is any
	$(BIN)/python scripts/results.py --check
fuzz: $(STAMP)  ## hostile inputs for every reader of strangers' files (Linux); what is not survived stays in fuzzing/
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,docs,fuzz]'
	OMP_NUM_THREADS=1 $(BIN)/python tests/faults/fuzz.py all $(INPUTS) fuzzing

clean:  ## everything that make made, but not the runs
	rm -rf $(VENV) site build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
