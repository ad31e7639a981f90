# make setup | demo | up | check | test | evals | bench | bench-<name> | storm
PYTHON ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help
.PHONY: help setup demo up check test evals bench storm

help:
	@echo "make demo    from a clone to pictures: out/demo/index.html"
	@echo "make up      the service, kept running"
	@echo "make test    format, lint, types, imports and every test"
	@echo "make check   the quick part of it"
	@echo "make evals   measures the shipped model and its adapters again"
	@echo "make storm   kills the service's parts while it works, and counts what is lost"
	@echo "make bench   the measured speeds; make bench-train-style measures one again"

setup: .venv/.ready

.venv/.ready: pyproject.toml constraints.txt serving/triton/requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --progress-bar on -c constraints.txt -e '.[dev]'
	$(BIN)/python -m serving triton-setup
	touch $@

demo: setup
	$(BIN)/python -m serving demo

up: setup
	$(BIN)/python -m serving up

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

FRIENDS := docs/storyboards/friends.yaml
SUITES := identity pose depth style student guidance int8 bf16 story
evals: setup
	$(BIN)/python -m export target=openvino
	$(BIN)/python -m export target=onnx_int8 tolerance=0.4 out=out/bundle_int8
	$(BIN)/python -m evals out=out/evals/words
	seq 10 | LUCIOLE_THREADS=1 xargs -P 2 -I SEED sh -ec ' \
	  $(BIN)/python -m serving storyboard $(FRIENDS) --seed SEED --out out/storyboards/linked/SEED; \
	  $(BIN)/python -m serving storyboard $(FRIENDS) --seed SEED --out out/storyboards/alone/SEED --alone'
	set -e; for suite in $(SUITES); do $(BIN)/python -m evals suite=$$suite; done
	$(BIN)/python -m evals suite=parity
	$(BIN)/python -m evals.figures $(patsubst %,out/evals/%/report.json,words $(SUITES)) --out out/evals/figures.md

bench: setup
	$(BIN)/python -m evals.bench

storm: setup
	$(BIN)/python -m evals.bench.storm

bench-%: setup
	$(BIN)/python -m evals.bench.$(subst -,_,$*)
