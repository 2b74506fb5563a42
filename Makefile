# What a newcomer types: `make` builds, `make demo` shows, `make test` proves. `make help` lists the rest.
.DEFAULT_GOAL := build
BUILD := build/release
PREFIX ?= /usr/local
CHECKBIT_NO_SETUP ?=
FUZZ_SECONDS ?= 60
# Only these targets of `make clang`; empty: all.
CLANG_TARGETS ?=
# What `make arm64` builds; it runs their tests, but for long contexts, which take qemu minutes.
ARM64_TARGETS ?= kernels_test arch_test
JOBS ?= $(shell nproc)
# Tests and oracles find pulled models where the programs do.
export CHECKBIT_NO_SETUP

# `make measure-table`: a public text such as wikitext2_valid.txt, how many windows of how many
# tokens, and the sizes.
TEXT ?=
WINDOWS ?= 24
CONTEXT ?= 512
TABLE_TYPES ?= CB2,Q2_K,CB3,Q3_K_M,Q4_0,CB4,Q4_K_M,Q6_K

MODELS := smollm2-135m gemma3-270m qwen2.5-coder-0.5b qwen2.5-coder-1.5b

.PHONY: build setup demo measure-demo model models test test-identity asan tsan clang arm64 fuzz checklist check-oracles bench-run bench-types bench-quantize bench-kernels bench-order bench-guard bench-checks guard-curves guard-pictures \
  performance-docs measure-table reference format install clean help

build: setup ## build build/release/checkbit (the default)
	@cmake --preset release >/dev/null
	@cmake --build $(BUILD) -j $(JOBS) --target checkbit

setup: ## install the missing Debian packages of tools/packages.txt
	@tools/setup build test

test: build model ## build, fetch the 98 MB test model, run every test
	@cmake --build $(BUILD) -j $(JOBS)
	@ctest --test-dir $(BUILD) --output-on-failure --no-tests=error -j $(JOBS)

test-identity: build models ## one answer on all four models: every instruction set, thread count, batch
	@tools/setup build test
	@cmake --build $(BUILD) -j $(JOBS) --target kernels_test arch_test run_test
	@CHECKBIT_TEST_ALL=1 ctest --test-dir $(BUILD) --output-on-failure --no-tests=error -R 'Product|Attention|TinyModel|RealModel|GoldenModels'

demo: build ## fetch, fit, measure, ask, seal, damage and mend a small model; writes out/demo/report.html
	@$(BUILD)/checkbit demo

measure-demo: build model ## several sizes of a small model against the original; writes out/measure/report.html
	@tools/measure_demo

model: build
	@$(BUILD)/checkbit pull smollm2-135m

asan: ## the tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@tools/sanitize asan-ubsan

tsan: ## the tests of what runs in threads under ThreadSanitizer
	@tools/sanitize tsan

clang: ## the whole tree with clang 14, and the tests of what must be the same bits
	@tools/setup build test ci
	@cmake --preset clang >/dev/null && cmake --build build/clang -j $(JOBS) $(addprefix --target ,$(CLANG_TARGETS))
	@ctest --test-dir build/clang --output-on-failure --no-tests=error -j $(JOBS) -L '^(kernels|arch|score|formats)$$'

arm64: ## cross-build for 64-bit Arm; under qemu, the tests of what must be the same bits
	@tools/setup build test arm64
	@tools/arm64_libraries
	@cmake --preset arm64 >/dev/null
	@cmake --build build/arm64 -j $(JOBS) --target $(ARM64_TARGETS)
	@QEMU_CPU=cortex-a53 ctest --test-dir build/arm64 --output-on-failure --no-tests=error -R '^(SelectIsa|KernelTables)|Golden'
	@CHECKBIT_TEST_STRIDE=17 ctest --test-dir build/arm64 --output-on-failure --no-tests=error -j $(JOBS) -L '^(kernels|arch)$$' -E LongContexts

fuzz: ## every fuzz target for FUZZ_SECONDS (60)
	@tools/fuzz $(FUZZ_SECONDS)

models: build
	@for name in $(MODELS); do $(BUILD)/checkbit pull $$name || exit 1; done

checklist: models ## the code-quality checklist: sources, documents, and unit tests of every model
	@python3 tools/checklist $(BUILD)/checkbit $(MODELS)

check-oracles: models ## compare with gguf, numpy, jinja2, llama.cpp (built once; an hour; ORACLES=--short)
	@tools/setup build test
	@python=$$(tools/oracle_venv) && peer=$$(tools/peer) && source=$$(tools/peer --source) && \
	  CHECKBIT_PEER=$$peer CHECKBIT_PEER_SOURCE=$$source $$python tests/oracles/check_all.py $(ORACLES)

bench-run: models ## speed beside llama.cpp (built once) and, given IK_LLAMA=FOLDER, ik_llama.cpp; BENCH=--resume
	@peer=$$(tools/peer) && avx2=$$(tools/peer --avx2) && CHECKBIT_PEER=$$peer CHECKBIT_PEER_AVX2=$$avx2 \
	  $(if $(IK_LLAMA),IK_LLAMA=$(IK_LLAMA)) python3 bench/bench_run.py $(BENCH)

bench-types: model ## the same for every tensor type, in the layer shape of the 1.5B model
	@python=$$(tools/oracle_venv) && peer=$$(tools/peer) && \
	  types=$$($$python bench/type_models.py $${CHECKBIT_HOME:-$${XDG_CACHE_HOME:-$$HOME/.cache}/checkbit}/types) && \
	  CHECKBIT_PEER=$$peer $(if $(IK_LLAMA),IK_LLAMA=$(IK_LLAMA)) python3 bench/bench_run.py \
	  --measures short -o out/bench/types.json --models $$types $(BENCH)

bench-quantize: models ## rounding methods and llama.cpp at equal bytes: CALIBRATION=FILE TEXT=FILE, QUANTIZE=--models ...
	@test -n "$(CALIBRATION)" -a -n "$(TEXT)" || { echo "make bench-quantize CALIBRATION=FILE TEXT=FILE: which texts?" >&2; exit 1; }
	@peer=$$(tools/peer) && CHECKBIT_PEER=$$peer python3 bench/bench_quantize.py --checkbit $(BUILD)/checkbit \
	  --calibration "$(CALIBRATION)" --text "$(TEXT)" $(QUANTIZE)

performance-docs: ## docs/performance.md and its pictures from what bench-run and bench-types measured
	@python3 bench/performance_docs.py

bench-kernels: ## micro-benchmarks of the kernels, with shares of bandwidth and integer peak
	@tools/setup build bench
	@cmake --preset release >/dev/null && cmake --build $(BUILD) -j $(JOBS) --target kernels_bench
	@$(BUILD)/kernels_bench

bench-order: models ## what the canonical order of sums costs: beside kernels that add in any, in one process
	@tools/setup build bench
	@cmake --preset release >/dev/null && cmake --build $(BUILD) -j $(JOBS) --target run_bench
	@$(BUILD)/run_bench $(MODELS)

bench-guard: models ## every bar of the guard, found and goal (an hour and more); GUARD=--short for minutes
	@tools/setup build bench
	@cmake --preset release >/dev/null && cmake --build $(BUILD) -j $(JOBS) --target checkbit $(if $(wildcard src/guard/*_bench.cpp),guard_bench)
	@python3 bench/bench_guard.py $(GUARD)

bench-checks: models ## what checked products cost, in pairs: CHECKBIT_PAIR_SECONDS=10 a figure
	@tools/setup build bench
	@cmake --preset release >/dev/null && cmake --build $(BUILD) -j $(JOBS) --target guard_bench
	@$(BUILD)/guard_bench $(MODELS) && $(BUILD)/guard_bench --full smollm2-135m

guard-curves: models ## damage over bit error rate, every type and field: GUARD="--budget 20m" a file (hours; goes on)
	@python3 bench/guard_curves.py $(GUARD)

guard-pictures: ## the pictures and the table of docs/guard.md from what guard-curves found
	@python3 bench/guard_curves.py --draw

measure-table: models ## every model at eight sizes with intervals: TEXT=FILE, WINDOWS=24 (hours; goes on where it stopped)
	@test -n "$(TEXT)" || { echo "make measure-table TEXT=FILE: which text?" >&2; exit 1; }
	@mkdir -p out && for model in $(MODELS); do \
	  $(BUILD)/checkbit sweep $$model --types $(TABLE_TYPES) --texts "$(TEXT)" --first $(WINDOWS) --windows $(WINDOWS) \
	    --context $(CONTEXT) --remember 2GiB --store out/measure-table.sqlite >/dev/null || exit 1; done
	@$(BUILD)/checkbit sweep --store out/measure-table.sqlite --markdown

reference: build ## write docs/reference.md from the commands' help
	@$(BUILD)/checkbit help --markdown > docs/reference.md

format: ## clang-format over src/
	@tools/setup ci
	@find src -name '*.cpp' -o -name '*.h' | xargs clang-format-14 -i

install: build ## install program and completions under PREFIX (/usr/local)
	@cmake --install $(BUILD) --prefix $(PREFIX)

clean: ## remove build/ and out/
	@rm -rf build out

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
