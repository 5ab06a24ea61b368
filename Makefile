# `make demo` and `make test` do all the set-up by themselves; the others are for people who change the code.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
EXTRA ?= dev

.PHONY: demo test lint format bench-speed bench-quality clean

# torch comes with pip, as pip knows where a machine keeps its wheels.
$(VENV)/demo.stamp: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -e '.[demo]'
	touch $@

$(VENV)/dev.stamp: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -e '.[dev]'
	touch $@

demo: $(VENV)/demo.stamp
	$(BIN)/limbeck demo

# Twice: run-time shape checks and compiled code exclude each other. What is computed is too small for several threads,
# which would only wait for each other.
test: export OMP_NUM_THREADS = 1
test: $(VENV)/dev.stamp
	$(BIN)/python -m pytest tests --jaxtyping-packages=limbeck,beartype.beartype -m "not compiled"
	$(BIN)/python -m pytest tests -m compiled
	$(BIN)/python -m pytest --doctest-modules src --doctest-glob='*.md' README.md docs

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Writes benchmarks/speed/summary.json and docs/reference/performance.md; QUICK=1 only tries the program, elsewhere.
bench-speed: $(VENV)/dev.stamp
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.speed

# Goes on where it was stopped; PART=2 runs the second of several parts. QUICK=1 only tries the program, CHECK=1 tries
# every contender on every pair for 20 steps.
bench-quality: $(VENV)/dev.stamp
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.quality.$(if $(CHECK),check,run)

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .import_linter_cache
