# Each target makes the environment that it needs; re-runs reuse it. PYTHON may be any of Python 3.11 to 3.13.
PYTHON ?= python3
DEMO := .venv-demo
TEST := .venv-test
DEMO_LIMIT_MB := 400
SECONDS ?= 60
WORKERS ?= 2
PIP := -m pip install --quiet --disable-pip-version-check
# In the folder of the tests, whose conftest.py is then the only one: the others need packages of [test].
COMPAT_PYTEST := -m pytest --quiet --confcutdir .
BENCH_PEERS := librosa musicnn essentia
MUSICNN := musicnn==0.1.0
METADATA := pyproject.toml setup.cfg
DEBIAN13 := build/debian13
PYTEST := -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder --max-worker-restart 0
# Every extra that goes without TensorFlow, and the tests that do. Notebooks, browsers and Node are those of `make test`.
PORTABLE_EXTRAS := test,umap,dask,milvus
PORTABLE := -p no:cacheprovider -m "not train and not web" --ignore tests/colab
SOURCES := $(shell find musiczoo models export -type f -not -name '*.py[cod]')

.PHONY: demo test test-python313 test-lowest lint wheel scale notebooks compat fuzz bench clean

demo: $(DEMO)/.stamp  ## Tag the bundled piece in an environment that holds only what running a model needs.
	@for name in tensorflow keras librosa; do \
	    if $(DEMO)/bin/python -c "import $$name" 2> /dev/null; then echo "$(DEMO) holds $$name"; exit 1; fi; done
	@size=$$(du -sm $(DEMO) | cut -f1); echo "$(DEMO): $$size MB (limit $(DEMO_LIMIT_MB))"; test $$size -lt $(DEMO_LIMIT_MB)
	$(DEMO)/bin/musiczoo demo

test: lint  ## Lint, types and all tests, in WORKERS processes of up to 3 GB each.
	# In the order of their names: the notebooks, which take longest, are then not the last that one process waits for.
	$(TEST)/bin/python $(PYTEST)

test-python313: $(DEBIAN13)/opt/venv/.stamp  ## The tests without TensorFlow, in Debian 13: Python 3.13, every package at its newest.
	.ci/debian13 /opt/venv/bin/python $(PYTEST) $(PORTABLE)

# Without what tests our processes, signals and disks, which are the same with every version of a package.
test-lowest: .venv-lowest/.stamp  ## The tests without TensorFlow, with the lowest versions that pyproject.toml allows.
	.venv-lowest/bin/python $(PYTEST) $(PORTABLE) --ignore tests/faults --ignore tests/fuzz --ignore tests/library/test_interruptions.py

lint: $(TEST)/.stamp
	$(TEST)/bin/ruff check .
	$(TEST)/bin/ruff format --check .
	rm -rf build/typed && mkdir -p build/typed/musiczoo
	# models/ and export/ are musiczoo.models and musiczoo.export: mypy sees them where an installation has them.
	ln -s $(CURDIR)/musiczoo/* $(CURDIR)/models $(CURDIR)/export build/typed/musiczoo/
	cd build/typed && ../../$(TEST)/bin/mypy --config-file ../../pyproject.toml --cache-dir ../../.mypy_cache

wheel: $(TEST)/.stamp  ## dist/: the sdist, and the wheel built from it.
	rm -rf dist
	$(TEST)/bin/python -m build --outdir dist

scale: .venv-scale/.stamp  ## A cluster of several processes, and a vector database.
	.venv-scale/bin/python -m pytest -m scale tests/scale

notebooks: $(TEST)/.stamp  ## Every notebook of colab/, from its first cell to its last.
	$(TEST)/bin/python -m pytest tests/colab

compat: .venv-compat-2.15/.stamp .venv-compat-2.16/.stamp build/compat/.stamp  ## tensorflow-addons and tensorflow-io: Python 3.11 only.
	cd tests/compat && ../../.venv-compat-2.15/bin/python $(COMPAT_PYTEST) test_losses.py test_tfio.py test_saved_model.py
	cd tests/compat && ../../.venv-compat-2.16/bin/python $(COMPAT_PYTEST) test_tfio.py test_saved_model.py
	@echo "make compat: passed with TensorFlow 2.15 and 2.16"

fuzz: .venv-fuzz/.stamp  ## Inputs guided by coverage, for SECONDS each: make fuzz SECONDS=400 TARGETS="audio library".
	.venv-fuzz/bin/python tests/fuzz/run.py --seconds $(SECONDS) --out build/fuzz/findings --corpus build/fuzz/corpus $(TARGETS)

# What musicnn's network is like behind librosa comes out of the same package as musicnn's own code.
bench: $(TEST)/.stamp $(BENCH_PEERS:%=.venv-bench-%/.stamp) build/bench/zoo/musicnn-msd/card.json  ## Speed beside peers, and what more costs. First: musiczoo data prepare open_music --out data/open_music
	$(TEST)/bin/python benchmarks/stages.py --json build/bench/stages.json
	MUSICZOO_HOME=build/bench $(TEST)/bin/python benchmarks/speed.py --json build/bench/speed.json --plot docs/performance/speed.png
	$(TEST)/bin/python benchmarks/curves.py --json build/bench/curves.json --plot docs/performance/curves.png
	$(TEST)/bin/python benchmarks/int8.py

clean:
	rm -rf $(DEMO) $(TEST) .venv-lowest .venv-scale .venv-fuzz .venv-bench-* .venv-compat-* .venv-wheel build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info

$(DEMO)/.stamp: $(METADATA) $(SOURCES)
	test -x $(DEMO)/bin/python || $(PYTHON) -m venv $(DEMO)
	$(DEMO)/bin/python $(PIP) .
	touch $@

$(TEST)/.stamp: $(METADATA)
	test -x $(TEST)/bin/python || $(PYTHON) -m venv $(TEST)
	$(TEST)/bin/python $(PIP) --editable '.[train-cpu,test,lint]'
	touch $@

$(DEBIAN13)/.stamp: .ci/debian13 .ci/packages
	.ci/debian13 make
	touch $@

$(DEBIAN13)/opt/venv/.stamp: $(DEBIAN13)/.stamp $(METADATA)
	.ci/debian13 python3 -m venv /opt/venv
	.ci/debian13 /opt/venv/bin/python $(PIP) --upgrade --editable '.[$(PORTABLE_EXTRAS)]'
	touch $@

.venv-lowest/.stamp: $(METADATA) .ci/lowest
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	mkdir -p build
	$(@D)/bin/python .ci/lowest $(PORTABLE_EXTRAS) > build/lowest.txt
	$(@D)/bin/python $(PIP) --constraint build/lowest.txt --editable '.[$(PORTABLE_EXTRAS)]'
	touch $@

.venv-scale/.stamp: $(METADATA)
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python $(PIP) --editable '.[test,dask,milvus]'
	touch $@

.venv-fuzz/.stamp: $(METADATA)
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python $(PIP) --editable '.[fuzz]'
	touch $@

.venv-compat-%/.stamp: tests/compat/tensorflow-%.txt tests/compat/common.txt $(METADATA)
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info[:2] != (3, 11))" || \
	    { echo "make compat needs Python 3.11, the last that tensorflow-addons has a package for: make compat PYTHON=python3.11"; exit 1; }
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python $(PIP) --requirement $<
	# Without its dependencies: onnxruntime and the command line are not tested here.
	$(@D)/bin/python $(PIP) --no-deps --editable .
	touch $@

.venv-bench-%/.stamp: benchmarks/peers/%.txt
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python $(PIP) --requirement $<
	# Without its dependencies: they are those of 2019.
	if test $* = musicnn; then $(@D)/bin/python $(PIP) --no-deps $(MUSICNN); fi
	touch $@

build/bench/zoo/musicnn-msd/card.json: | $(TEST)/.stamp
	MUSICZOO_HOME=build/bench $(TEST)/bin/musiczoo import musicnn

build/compat/.stamp: tests/compat/reference.py tests/export/tiny.py tests/toy.py $(SOURCES) | $(TEST)/.stamp
	TF_CPP_MIN_LOG_LEVEL=2 PYTHONPATH=tests:tests/export $(TEST)/bin/python tests/compat/reference.py $(@D)
	touch $@
