# make demo    builds gemma3n and lets the built-in demo model answer three questions
# make test    builds everything, runs all tests and the checks of the core
# make build   builds the gemma3n program: .build/release/gemma3n
# Each installs what it needs first: FFmpeg's libraries and SQLite through apt-get or brew. Swift itself must be there.

SWIFT ?= swift
CONFIGURATION = release

.PHONY: build demo test dependencies clean

build: dependencies
	$(SWIFT) build -c $(CONFIGURATION) --product gemma3n

demo: build
	.build/$(CONFIGURATION)/gemma3n demo

# Tests run in release: numeric loops are twenty times slower in debug builds, which are compiled, as users' programs do, and run
# the tests of the macros only: swift-syntax alone takes longer to build in release than all else.
test: dependencies
	GEMMA3N_MACROS=0 $(SWIFT) build -c $(CONFIGURATION) --build-tests
	GEMMA3N_MACROS=0 Scripts/run-tests.sh $(SWIFT) test -c $(CONFIGURATION) --skip-build
	Scripts/check-clients.sh -m "not timing"
	GEMMA3N_SERVER=0 $(SWIFT) build -c debug --build-tests --scratch-path .build/debug-check
	GEMMA3N_SERVER=0 Scripts/run-tests.sh $(SWIFT) test -c debug --skip-build --scratch-path .build/debug-check --filter MacroTests
	Scripts/check-foundation-free.sh
	Scripts/check-embedded.sh
	Scripts/check-arm.sh

dependencies:
	@SWIFT="$(SWIFT)" Scripts/install-deps.sh

clean:
	rm -rf .build
