# Each target creates the environment that it needs and reuses it in later runs. PYTHON may be any of Python 3.11 to 3.13.
# On Windows, run make in Git Bash: all recipes are for a POSIX shell.
PYTHON ?= python3
DEMO := .venv-demo
TEST := .venv-test
DEMO_LIMIT_MB := 400
SECONDS ?= 60
# Without bytecode files each of hundreds of processes would compile all modules anew.
unexport PYTHONDONTWRITEBYTECODE
# One for each of two cores: a third takes a fifth more CPU time, since each process imports TensorFlow and traces its functions.
WORKERS ?= 2
BIN := $(if $(filter Windows_NT,$(OS)),Scripts,bin)
PIP := -m pip install --quiet --disable-pip-version-check
# The environment that contains the stamp; DEV_VENV also has a pip that installs dependency groups.
VENV = test -x $(@D)/$(BIN)/python || $(PYTHON) -m venv $(@D)
DEV_VENV = $(VENV); $(@D)/$(BIN)/python $(PIP) 'pip>=25.1'
# Run in the folder of these tests, so that only its conftest.py is loaded: the others need packages of the group test.
COMPAT_PYTEST := -m pytest --quiet --confcutdir .
BENCH_PEERS := librosa musicnn essentia
MUSICNN := musicnn==0.1.0
METADATA := pyproject.toml setup.cfg
DEBIAN13 := build/debian13
PYTEST := -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder --max-worker-restart 0
# The tiers are in tests/conftest.py. CHECK: fast tests that need no TensorFlow, browser or Node.
CHECK := --no-tensorflow -m "not train and not web and not slow"
# The extras and the tests that need no TensorFlow. Notebooks, browsers and Node are left to `make test`.
PORTABLE_EXTRAS := umap,dask,milvus
PORTABLE := -p no:cacheprovider -m "not train and not web" --ignore tests/colab
SOURCES := $(shell find musiczoo models export -type f -not -name '*.py[cod]')

.PHONY: demo check test test-python313 test-lowest test-wheel lint style types wheel scale docs notebooks compat fuzz container bench clean

demo: $(DEMO)/.stamp  ## Tag the bundled recording in an environment with the runtime dependencies only.
	@for name in tensorflow keras librosa; do \
	    if $(DEMO)/$(BIN)/python -c "import $$name" 2> /dev/null; then echo "$(DEMO) holds $$name"; exit 1; fi; done
	@size=$$(du -sm $(DEMO) | cut -f1); echo "$(DEMO): $$size MB (limit $(DEMO_LIMIT_MB))"; test $$size -lt $(DEMO_LIMIT_MB)
	$(DEMO)/$(BIN)/musiczoo demo

check: lint  ## Lint, types, and the fast tests that need no TensorFlow, browser or Node.
	$(TEST)/$(BIN)/python $(PYTEST) $(CHECK)

test: lint $(TEST)/.stamp  ## Lint, types and all tests, in WORKERS processes of up to 3 GB each.
	# In the order of their names, so that the notebooks, which take longest, do not start last.
	$(TEST)/$(BIN)/python $(PYTEST)

test-python313: $(DEBIAN13)/opt/venv/.stamp  ## The tests without TensorFlow, in Debian 13: Python 3.13, every package at its newest.
	.ci/debian13 /opt/venv/bin/python $(PYTEST) $(PORTABLE)

# Without the tests of processes, signals and disks, which do not depend on the versions of packages.
test-lowest: .venv-lowest/.stamp  ## The tests without TensorFlow, with the lowest versions that pyproject.toml allows.
	.venv-lowest/$(BIN)/python $(PYTEST) $(PORTABLE) --ignore tests/faults --ignore tests/fuzz --ignore tests/library/test_interruptions.py

lint: style types  ## ruff and mypy.

style: $(TEST)/.check
	$(TEST)/$(BIN)/ruff check .
	$(TEST)/$(BIN)/ruff format --check .

types: $(TEST)/.check
	rm -rf build/typed && mkdir -p build/typed/musiczoo
	# models/ and export/ are musiczoo.models and musiczoo.export: mypy sees them where an installation has them.
	ln -s $(CURDIR)/musiczoo/* $(CURDIR)/models $(CURDIR)/export build/typed/musiczoo/
	cd build/typed && ../../$(TEST)/$(BIN)/mypy --config-file ../../pyproject.toml --cache-dir ../../.mypy_cache

wheel: $(TEST)/.check  ## dist/: the sdist, and the wheel built from it.
	rm -rf dist
	$(TEST)/$(BIN)/python -m build --outdir dist

test-wheel: wheel  ## The wheel, in an environment with only its dependencies.
	PYTHON=$(PYTHON) .ci/wheel

scale: .venv-scale/.stamp  ## The tests with a cluster of several processes and a vector database.
	.venv-scale/$(BIN)/python -m pytest -m scale tests/scale tests/docs/test_docstrings.py

# NO_MKDOCS_2_WARNING: the theme's advertisement for its successor is not a warning about this site.
docs: .venv-docs/.stamp  ## The documentation site in build/site; warnings are errors, and no page loads a file from another site.
	mkdir -p build/docs  # griffe leaves out a search path that does not exist yet: docs/_site/api.py fills it
	NO_MKDOCS_2_WARNING=1 .venv-docs/$(BIN)/python -m mkdocs build --strict --quiet
	@! grep -rl '<blockquote>' build/site/reference || { echo 'Examples are quotations there, not code'; exit 1; }
	@! grep -rEl '<(script|link)[^>]*(src|href)="(https?:)?//[^"]*\.(js|css|woff2?)"|url\((https?:)?//' build/site --include=*.html --include=*.css

notebooks: $(TEST)/.stamp  ## Run every notebook of colab/.
	$(TEST)/$(BIN)/python -m pytest tests/colab

compat: .venv-compat-2.15/.stamp .venv-compat-2.16/.stamp build/compat/.stamp  ## tensorflow-addons and tensorflow-io: Python 3.11 only.
	cd tests/compat && ../../.venv-compat-2.15/bin/python $(COMPAT_PYTEST) test_losses.py test_tfio.py test_saved_model.py
	cd tests/compat && ../../.venv-compat-2.16/bin/python $(COMPAT_PYTEST) test_tfio.py test_saved_model.py
	@echo "make compat: passed with TensorFlow 2.15 and 2.16"

fuzz: .venv-fuzz/.stamp  ## Coverage-guided fuzzing, SECONDS for each target: make fuzz SECONDS=400 TARGETS="audio library".
	.venv-fuzz/$(BIN)/python tests/fuzz/run.py --seconds $(SECONDS) --out build/fuzz/findings --corpus build/fuzz/corpus $(TARGETS)

container:  ## The steps of the Containerfile in chroots of Debian 13; needs root, debootstrap and unshare.
	.ci/container make

# musicnn's network and musicnn's own code, to compare, come from the same package.
bench: $(TEST)/.stamp $(BENCH_PEERS:%=.venv-bench-%/.stamp) build/bench/zoo/musicnn-msd/card.json  ## Speed compared with other tools, and how it scales. First: musiczoo data prepare open_music --out data/open_music
	$(TEST)/$(BIN)/python benchmarks/stages.py --json build/bench/stages.json
	MUSICZOO_HOME=build/bench $(TEST)/$(BIN)/python benchmarks/speed.py --json build/bench/speed.json --plot docs/engineering/performance/speed.png
	$(TEST)/$(BIN)/python benchmarks/curves.py --json build/bench/curves.json --plot docs/engineering/performance/curves.png
	$(TEST)/$(BIN)/python benchmarks/int8.py

clean:
	rm -rf $(DEMO) $(TEST) .venv-lowest .venv-scale .venv-docs .venv-fuzz .venv-bench-* .venv-compat-* .venv-wheel build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info

$(DEMO)/.stamp: $(METADATA) $(SOURCES)
	$(VENV)
	$(DEMO)/$(BIN)/python $(PIP) .
	touch $@

# Sufficient for make check. make test adds TensorFlow, 1.6 GB.
$(TEST)/.check: $(METADATA)
	$(DEV_VENV)
	$(TEST)/$(BIN)/python $(PIP) --editable . --group test --group lint
	touch $@

$(TEST)/.stamp: $(TEST)/.check
	$(TEST)/$(BIN)/python $(PIP) --editable '.[train-cpu,render]' --group test --group lint
	touch $@

$(DEBIAN13)/.stamp: .ci/debian13 .ci/packages
	.ci/debian13 make
	touch $@

$(DEBIAN13)/opt/venv/.stamp: $(DEBIAN13)/.stamp $(METADATA)
	.ci/debian13 python3 -m venv /opt/venv
	.ci/debian13 /opt/venv/bin/python $(PIP) 'pip>=25.1'
	.ci/debian13 /opt/venv/bin/python $(PIP) --upgrade --editable '.[$(PORTABLE_EXTRAS)]' --group test
	touch $@

.venv-lowest/.stamp: $(METADATA) .ci/lowest
	$(DEV_VENV)
	mkdir -p build
	$(@D)/$(BIN)/python .ci/lowest $(PORTABLE_EXTRAS) test > build/lowest.txt
	$(@D)/$(BIN)/python $(PIP) --constraint build/lowest.txt --editable '.[$(PORTABLE_EXTRAS)]' --group test
	touch $@

.venv-scale/.stamp: $(METADATA)
	$(DEV_VENV)
	$(@D)/$(BIN)/python $(PIP) --editable '.[dask,milvus]' --group test
	touch $@

.venv-docs/.stamp: $(METADATA)
	$(DEV_VENV)
	$(@D)/$(BIN)/python $(PIP) --editable . --group docs
	touch $@

.venv-fuzz/.stamp: $(METADATA)
	$(DEV_VENV)
	$(@D)/$(BIN)/python $(PIP) --editable . --group fuzz
	touch $@

.venv-compat-%/.stamp: tests/compat/tensorflow-%.txt tests/compat/common.txt $(METADATA)
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info[:2] != (3, 11))" || \
	    { echo "make compat needs Python 3.11, the last that tensorflow-addons has a package for: make compat PYTHON=python3.11"; exit 1; }
	$(VENV)
	$(@D)/$(BIN)/python $(PIP) --requirement $<
	# Without its dependencies: onnxruntime and the command line are not tested here.
	$(@D)/$(BIN)/python $(PIP) --no-deps --editable .
	touch $@

.venv-bench-%/.stamp: benchmarks/peers/%.txt
	$(VENV)
	$(@D)/$(BIN)/python $(PIP) --requirement $<
	# Without its dependencies: they are those of 2019.
	if test $* = musicnn; then $(@D)/$(BIN)/python $(PIP) --no-deps $(MUSICNN); fi
	touch $@

build/bench/zoo/musicnn-msd/card.json: | $(TEST)/.stamp
	MUSICZOO_HOME=build/bench $(TEST)/$(BIN)/musiczoo import musicnn

build/compat/.stamp: tests/compat/reference.py tests/export/tiny.py tests/toy.py $(SOURCES) | $(TEST)/.stamp
	TF_CPP_MIN_LOG_LEVEL=2 PYTHONPATH=tests:tests/export $(TEST)/$(BIN)/python tests/compat/reference.py $(@D)
	touch $@
