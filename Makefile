# What a newcomer types. `make` builds, `make demo` shows, `make test` proves; CONTRIBUTING.md lists the rest.
.DEFAULT_GOAL := build
BUILD := build/release

.PHONY: build setup test demo
build: setup
	@cmake --preset release >/dev/null && cmake --build $(BUILD)

setup:
	@tools/setup

test: build
	@ctest --test-dir $(BUILD) --output-on-failure -j2
