# SPDX-License-Identifier: Apache-2.0
# A thin face for CMake: see `make help`.
.PHONY: help all setup build demo check check-long asan clang coverage install clean
BUILD ?= build/release

all: build

help:
	@echo "make build    build the library and the command into $(BUILD)"
	@echo "make demo     build, make images, train, prune with three strategies, compare, report in demo/"
	@echo "make check    build and run all tests"
	@echo "make check-long  the same with 3000 random graphs instead of 300"
	@echo "make asan     the same with address and undefined-behaviour sanitizers"
	@echo "make clang    the same with clang"
	@echo "make coverage the same with gcov's instrumentation, in build/coverage"
	@echo "make install  install (PREFIX=/usr/local)"
	@echo "make clean    remove build/"

setup:
	@tools/setup.sh

build: setup
	@cmake --preset release -B $(BUILD) > /dev/null
	@cmake --build $(BUILD)

check: build
	@ctest -j $$(nproc) --test-dir $(BUILD) --output-on-failure

check-long: build
	@PARE_GRAPHS=3000 ctest -j $$(nproc) --test-dir $(BUILD) --output-on-failure

demo: build
	@tools/demo.sh $(BUILD)/pare demo

asan: setup
	@cmake --preset asan > /dev/null
	@cmake --build build/asan
	@ASAN_OPTIONS=detect_leaks=1 ctest -j $$(nproc) --test-dir build/asan --output-on-failure

clang: setup
	@cmake --preset release -B build/clang -DCMAKE_C_COMPILER=clang > /dev/null
	@cmake --build build/clang
	@ctest -j $$(nproc) --test-dir build/clang --output-on-failure

coverage: setup
	@cmake --preset coverage > /dev/null
	@cmake --build build/coverage
	@ctest -j $$(nproc) --test-dir build/coverage --output-on-failure

install: build
	@cmake --install $(BUILD) $(if $(PREFIX),--prefix $(PREFIX))

clean:
	@rm -rf build
