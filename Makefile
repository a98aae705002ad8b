# make report   the main job: from the trained model to build/report/index.html
# make test     all tests            make check    lint and types
# make benchmark-silicon   the baseline against other people's, and the comparison with all effort (hours)
# make setup    installs what is missing (the other targets begin with it)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= build/report
# A folder in the layout of OpenROAD-flow-scripts' flow/platforms, for PDKs beside the embedded default.
PLATFORMS ?=
JOBS ?= 2

.PHONY: report test check setup format clean benchmark-silicon
.DEFAULT_GOAL := report

report: setup
	$(BIN)/dint report --out $(OUT) $(if $(PLATFORMS),--platforms $(PLATFORMS))

test: setup
	$(BIN)/pytest -n $(JOBS) --dist worksteal

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Other people's INT8 multipliers beside ours, and the comparison with more effort: hours, cached, may be interrupted.
benchmark-silicon: report
	$(BIN)/python -m benchmarks.silicon $(if $(PLATFORMS),--platforms $(PLATFORMS)) --stages $(OUT)/stages

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml setup.sh
	PYTHON=$(PYTHON) VENV=$(VENV) ./setup.sh
	touch $@

clean:
	rm -rf build
