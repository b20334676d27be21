# Every target does its own set-up, once; afterwards none needs a network.
PYTHON ?= python3
PARAMS ?= quick
DATA ?=
OUTPUT ?= output
PHOTOGRAPHS ?= photographs

VENV := .venv
BIN := $(VENV)/bin/python
# Installing names this folder, so a copy of it must install again.
HERE := $(VENV)/installed-$(shell echo "$(CURDIR)" | cksum | cut -d ' ' -f 1)

.PHONY: run sweep test test-all lint train figures notebooks sample kaggle lab clean

## run the ten notebooks in order: PARAMS=quick or full, DATA=<folder>
run: $(HERE)
	$(BIN) notebooks/run.py --params $(PARAMS) --output "$(OUTPUT)" $(if $(DATA),--data "$(DATA)")

## score a grid of models, bases and β (notebooks/params/sweep.yaml), or go on with it: DATA=<folder>
sweep: $(HERE)
	$(BIN) notebooks/sweep.py --output "$(OUTPUT)" $(if $(DATA),--data "$(DATA)") $(ARGS)

## the tests, and the notebooks that take little time
test: $(HERE)
	$(BIN) -m pytest -n 2 --dist loadfile -m "not slow" $(ARGS)

## all tests: also those marked slow, and all notebooks
test-all: $(HERE)
	$(BIN) -m pytest -n 2 --dist loadfile $(ARGS)

## ruff, notebooks included; imports that go one way
lint: $(HERE)
	$(BIN) -m ruff check .
	$(BIN) -m ruff format --check .
	$(VENV)/bin/lint-imports

## train the shipped weights again, on Tiny ImageNet and PHOTOGRAPHS=<folder of some that never
## were JPEG files>
train: $(HERE)
	$(BIN) -m steglib train plain --name plain --resume --data tiny-imagenet --images 8000 \
		--held-out 500 --batch-size 32 --ema 0.99 --epochs 16
	$(BIN) -m steglib train robust --name robust --resume --data tiny-imagenet --images 8000 \
		--held-out 500 --batch-size 32 --ema 0.99 --epochs 14 --beta 2 \
		--loss mse --start steglib/weights/plain.keras
	$(BIN) -m steglib train classic --name classic --resume --data tiny-imagenet --held-out 500 \
		--batch-size 32 --learning-rate 0.003 --ema 0.999 --epochs 24 --beta 1.6
	$(BIN) -m steglib train residue --name residue --resume --data tiny-imagenet --epochs 90 \
		--photographs "$(PHOTOGRAPHS)"

## make figures/ again, on Tiny ImageNet: an hour or two; DATA=<folder>
figures: $(HERE)
	$(BIN) notebooks/run.py --params full --output "$(OUTPUT)" --data "$(or $(DATA),tiny-imagenet)"
	$(BIN) -m steglib benchmark --learn 10 --data "$(or $(DATA),tiny-imagenet)" \
		--csv "$(OUTPUT)/benchmark_learning.csv"
	cp "$(OUTPUT)"/full*/figures/*.png "$(OUTPUT)/benchmark_learning.png" figures/

## execute the notebooks in place, with the outputs that are committed
notebooks: $(HERE)
	$(BIN) notebooks/refresh.py

## make the bundled photographs again
sample: $(HERE)
	$(BIN) data/make_sample.py

## folders to push to Kaggle: KAGGLE_USER=<name>
kaggle: $(HERE)
	$(BIN) notebooks/kaggle/build_folders.py --user $(or $(KAGGLE_USER),your-name) --output $(OUTPUT)/kaggle

lab: $(HERE)
	$(BIN) -m jupyter lab notebooks

clean:
	rm -rf $(VENV) $(OUTPUT) .cache *.egg-info

$(VENV)/dependencies: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or newer is needed"'
	$(PYTHON) -m venv $(VENV)
	$(BIN) -m pip install -q -c constraints.txt -e ".[course,dev]" "setuptools>=77"
	rm -f $(VENV)/installed-*
	touch $@

$(HERE): $(VENV)/dependencies
	$(BIN) -m pip install -q --no-deps --no-build-isolation -e .
	touch $@
