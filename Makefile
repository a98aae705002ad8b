# SPDX-License-Identifier: Apache-2.0
# make report   the main job: from the trained model to build/report/index.html
# make test     all tests            make check    lint and types
# make verify   proofs and exhaustive checks of every unit      make mutation   do bench and tests notice faults?
# make fuzz     malformed input for every command and parser, commands killed at any moment (all three: docs/verification.md)
# make benchmark-silicon        the baseline against other people's, and the comparison with all effort (hours)
# make benchmark-quantization   time and memory of quantizing a model with OPT-125M's shapes
# make benchmark-accuracy       all formats with all scalings and roundings, SLAC at several lengths, both models (hours; TEXT=FILE adds a text)
# make package  wheel and source distribution, installed in an empty environment (a minute or two; network)
# make examples      every command's example as its help has it (an hour; table3 needs the network)
# make pareto    accuracy of sixteen formats against area, delay and energy of their MAC units, per PDK (hours; may be interrupted)
# make headline  draws the README's picture from the last report
# make setup    installs what is missing (the other targets begin with it)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= build/report
# A folder in the layout of OpenROAD-flow-scripts' flow/platforms, for PDKs beside the embedded default.
PLATFORMS ?=
JOBS ?= 2
# What `make benchmark-accuracy` found, here or before: shown on the page.
ACCURACY := $(or $(wildcard build/benchmark-accuracy/*/accuracy.json),docs/accuracy/opt.json docs/accuracy/llama.json)
# What `make pareto` found, likewise; and `make benchmark-silicon`, where it was run.
PARETO := $(or $(wildcard build/pareto/pareto.json),docs/pareto.json)
SILICON := $(if $(wildcard build/benchmark-silicon/*.json),build/benchmark-silicon)

.PHONY: report headline pareto examples test check setup format clean package verify mutation fuzz benchmark-silicon benchmark-quantization benchmark-accuracy
.DEFAULT_GOAL := report

report: setup
	$(BIN)/dint report --out $(OUT) $(if $(PLATFORMS),--platforms $(PLATFORMS)) $(foreach file,$(ACCURACY),--accuracy $(file)) $(foreach file,$(PARETO),--pareto $(file)) $(if $(SILICON),--silicon $(SILICON))

# The picture of the README, from what the last report found.
headline: setup
	$(BIN)/python -m report.headline $(OUT)/results.json --out docs

pareto: setup
	$(BIN)/dint pareto $(if $(PLATFORMS),--platforms $(PLATFORMS))

test: setup
	$(BIN)/pytest -n $(JOBS) --dist worksteal

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Other people's INT8 multipliers beside ours, and the comparison with more effort: hours, cached, may be interrupted.
benchmark-silicon: report
	$(BIN)/python -m benchmarks.silicon $(if $(PLATFORMS),--platforms $(PLATFORMS)) --stages $(OUT)/stages

package: setup
	$(BIN)/python -m benchmarks.package --out dist

benchmark-quantization: setup
	$(BIN)/python -m benchmarks.quantization

benchmark-accuracy: setup
	$(BIN)/python -m benchmarks.accuracy $(if $(TEXT),--text $(TEXT)) --windows 128 --out build/benchmark-accuracy/opt
	$(BIN)/python -m benchmarks.accuracy llama $(if $(TEXT),--text $(TEXT)) --windows 128 --out build/benchmark-accuracy/llama

verify: setup
	$(BIN)/python -m benchmarks.proofs $(if $(PLATFORMS),--platforms $(PLATFORMS)) --jobs $(JOBS)
	$(BIN)/python -m benchmarks.verification $(if $(PLATFORMS),--platforms $(PLATFORMS)) --jobs $(JOBS)
	$(BIN)/python -m benchmarks.layer

examples: setup
	$(BIN)/python -m benchmarks.examples

fuzz: setup
	$(BIN)/python -m benchmarks.fuzz --jobs $(JOBS)
	$(BIN)/python -m benchmarks.killed

mutation: setup
	$(BIN)/python -m benchmarks.mutation --jobs $(JOBS)
	$(BIN)/python -m benchmarks.python_mutation --jobs $(JOBS)

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml setup.sh
	PYTHON=$(PYTHON) VENV=$(VENV) ./setup.sh
	touch $@

clean:
	rm -rf build
