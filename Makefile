# make demo    embed, evaluate and draw a real graph; needs no download of data
# make test    run all tests
# make bench   run the benchmarks, beside other libraries; ARGS=--quick for a smoke test;
#              with other ARGS the results in benchmarks/results are kept, unless --save is among them
# make lint    run every static check
# make docs    build the documentation into docs/_build/html
# make build   build a wheel and a source distribution into dist/
# make bench-torch-cluster  compile one more peer for the benchmarks: ten minutes, needs a C++ compiler
# make test-debug       all tests with bounds checks, address and undefined-behaviour sanitizers (gcc)
# make test-no-openmp   all tests on the build without OpenMP
# make clean / distclean   remove what was built / and the virtual environment
#
# PYTHON=python3.12    the interpreter, 3.11 or newer
# ARGS="-k walks"      arguments of the program that is run
# BENCH=walks          one benchmark instead of all
# TORCH_INDEX=...      the index with the CPU builds of torch; empty: only the usual one is asked
#
# (Only relative paths are used, so that the folder may have any name.)

PYTHON ?= python3
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
ARGS ?=
BENCH ?= walks skipgram models growth ingest end_to_end scaling determinism neighbors gnn_epoch gnn_accuracy \
    second_order importance top_k recsys

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --quiet --quiet
INSTALL := $(PIP) install --constraint constraints.txt --build-constraint constraints.txt
KERNEL_SOURCES := $(shell find graphembed -name '*.pyx' -o -name '*.pxd' -o -name '*.h')
METADATA := pyproject.toml setup.py constraints.txt
# Tests another build than the one in the source tree; run in build/NAME/lib.
TEST_HERE := ../../../$(PY) -m pytest -c ../../../pyproject.toml --rootdir ../../.. \
    -p no:cacheprovider --timeout 1800 ../../../tests $(ARGS)

.DELETE_ON_ERROR:
.PHONY: help demo test bench bench-torch-cluster lint docs build test-debug test-no-openmp clean distclean

help:
	@sed -n '/^# (/q; s/^# \{0,1\}//p' Makefile

# ----- What users run ----------------------------------------------------------------------------

demo: $(VENV)/.core
	@echo "==> Running the demo"
	@$(VENV)/bin/graphembed demo --output demo-output $(ARGS)

test: $(VENV)/.test
	@echo "==> Running the tests"
	@$(PY) -m pytest $(ARGS)

# A benchmark that fails does not keep the others from running.
bench: $(VENV)/.bench
	@echo "==> Running the benchmarks"
	@status=0; for name in $(BENCH); do \
	    echo "==> benchmarks/$$name.py"; \
	    $(PY) "benchmarks/$$name.py" $(ARGS) || status=$$?; \
	    if [ $$status -gt 128 ]; then exit $$status; fi; done; exit $$status

# Not in the group: there is no wheel, and not everybody has ten minutes.
bench-torch-cluster: $(VENV)/.bench $(VENV)/.test
	@echo "==> Compiling torch-cluster"
	@$(INSTALL) --no-deps --no-build-isolation torch-cluster

# The check of docstrings imports every module, those that need torch, too.
lint: $(VENV)/.lint $(VENV)/.test
	@echo "==> ruff check";        $(PY) -m ruff check .
	@echo "==> ruff format";       $(PY) -m ruff format --check .
	@echo "==> mypy --strict";     $(PY) -m mypy --strict graphembed
	@echo "==> cython-lint";       PATH="$$PWD/$(VENV)/bin:$$PATH" cython-lint graphembed
	@echo "==> docstrings";        $(PY) scripts/check_docstrings.py
	@echo "==> floors of imports"; $(VENV)/bin/lint-imports --no-logo
	@echo "==> spelling";          $(PY) -m codespell_lib graphembed tests scripts docs datasets \
	    benchmarks *.md *.py *.toml

docs: $(VENV)/.docs
	@echo "==> Building the documentation"
	@rm -rf docs/_build docs/api
	@$(PY) -m sphinx -q -W --keep-going -b html docs docs/_build/html $(ARGS)
	@echo "docs/_build/html/index.html"

build: $(VENV)/.core
	@echo "==> Building source distribution and wheel into dist/"
	@$(INSTALL) build
	@rm -rf dist
	@$(PY) -m build --quiet --outdir dist .
	@ls dist

# ----- Other builds: made from the source distribution, never from files of another build --------

test-debug: $(VENV)/.test build/debug/.built
	@echo "==> Running the tests under the sanitizers; their reports go to build/debug/reports"
	@rm -rf build/debug/reports && mkdir -p build/debug/reports
	@status=0; reports="$$PWD/build/debug/reports"; \
	(cd build/debug/lib && \
	    LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
	    PYTHONMALLOC=malloc \
	    ASAN_OPTIONS="detect_leaks=0:log_path='$$reports/asan'" \
	    UBSAN_OPTIONS="print_stacktrace=1:log_path='$$reports/ubsan'" \
	    $(TEST_HERE)) || status=$$?; \
	if [ -n "$$(ls -A build/debug/reports)" ]; then \
	    cat build/debug/reports/*; echo "the sanitizers have reported faults" >&2; exit 1; fi; \
	exit $$status

test-no-openmp: $(VENV)/.test build/no-openmp/.built
	@echo "==> Running the tests on the build without OpenMP"
	@cd build/no-openmp/lib && $(TEST_HERE)

build/debug/.built: export GRAPHEMBED_DEBUG := 1
build/no-openmp/.built: export GRAPHEMBED_NO_OPENMP := 1
build/%/.built: $(KERNEL_SOURCES) $(METADATA) $(wildcard graphembed/*.py graphembed/*/*.py) \
    | $(VENV)/.test
	@echo "==> Compiling the $* build"
	@rm -rf build/$* && mkdir -p build/$*
	@$(PY) -m build --quiet --sdist --outdir build/$* .
	@$(INSTALL) --no-deps --target build/$*/lib build/$*/graphembed-*.tar.gz
	@touch $@

# ----- The environment: one folder, filled in stages ---------------------------------------------

$(VENV)/.python: constraints.txt scripts/check_tools.py
	@command -v "$(PYTHON)" >/dev/null || { \
	    echo "'$(PYTHON)' was not found: install Python 3.11 or newer, or make PYTHON=..." >&2; exit 1; }
	@"$(PYTHON)" scripts/check_tools.py
	@echo "==> Making the virtual environment $(VENV)"
	@"$(PYTHON)" -m venv $(VENV)
	@$(PIP) install "$$(grep '^pip==' constraints.txt)"
	@touch $@

# In place, so that changes of the Python code are seen at once; a changed kernel is compiled again.
$(VENV)/.core: $(VENV)/.python $(METADATA) $(KERNEL_SOURCES)
	@echo "==> Installing graphembed, numpy, scipy, scikit-learn, tqdm, matplotlib; compiling the kernels"
	@$(INSTALL) --editable ".[plot]"
	@touch $@

$(VENV)/.test: $(VENV)/.python pyproject.toml | $(VENV)/.core
	@echo "==> Installing the CPU build of torch"
	@$(INSTALL) --no-deps --retries 0 $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) torch
	@echo "==> Installing what the tests need"
	@$(INSTALL) --group test
	@touch $@

$(VENV)/.bench $(VENV)/.lint $(VENV)/.docs: $(VENV)/.%: $(VENV)/.python pyproject.toml | $(VENV)/.core
	@echo "==> Installing what 'make $*' needs"
	@$(INSTALL) --group $*
	@touch $@

clean:
	rm -rf build dist docs/_build docs/api graphembed.egg-info
	find graphembed \( -name '*.so' -o -name '*.c' \) -delete
	rm -f $(VENV)/.core

distclean: clean
	rm -rf $(VENV)
