# Two commands on a fresh machine with rustup: `make demo` and `make test`.
CACHE ?= $(or $(QUIC_RELAY_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/quic-relay)
RELAY = target/release/quic-relay
MOQ_RELAY = $(if $(filter all,$(PEERS)),--moq-relay $(CACHE)/peers/bin/moq-relay)

.PHONY: demo test check build ebpf bench bench-quick bench-kernel bench-delay bench-garbage complexity foreign interop-ratchet fuzz clean

## everything it needs, then the lab with the real clip: three subscribers, each bit for bit
demo: build
	@tests/demo $(RELAY)

## everything it needs, then all tests, those against foreign stacks included
test:
	@.ci/setup test
	@ebpf/build
	cargo build --release --locked -p quic-relay
	cargo test --locked --workspace
	cargo test --locked -p quic-lite --features disable-1rtt-encryption --lib -- clear
	cargo test --locked --manifest-path fuzz/Cargo.toml --target-dir target
	cargo test --locked --manifest-path fuzz/differential/Cargo.toml
	cargo test --locked --manifest-path tests/bench/Cargo.toml
	$(MAKE) foreign

## the release build of the program
build:
	@.ci/setup demo
	@ebpf/build
	cargo build --release --locked -p quic-relay

## the kernel programs alone, where there is a toolchain for them
ebpf:
	@.ci/setup demo
	@ebpf/build

## our paths, the floor and a relay on quinn side by side: target/bench/report.html, in about ten minutes (root);
## PEERS=all: moq-relay too, which takes ten more to build, and our kernel path by MOQT
bench: build
	@.ci/setup bench
	$(if $(MOQ_RELAY),@.ci/setup peers)
	cargo build --release --locked -p quic-relay --features disable-1rtt-encryption --target-dir target/clear
	cargo build --release --locked -p relay-ebpf-bench
	cargo build --release --locked --manifest-path tests/bench/Cargo.toml
	@tests/bench/target/release/bench --relay $(RELAY) --clear-relay target/clear/release/quic-relay \
		--floor target/release/bench-floor $(MOQ_RELAY) $(ARGS)

## the same in a minute, with fewer paths: the table as JSON (root)
bench-quick:
	@$(MAKE) --silent build >&2
	@.ci/setup bench >&2
	@cargo build --release --locked --manifest-path tests/bench/Cargo.toml
	@tests/bench/target/release/bench --relay $(RELAY) --quick --json - $(ARGS)

## how long the kernel programs take for a copy, against the least that one costs (root; ARGS=--json)
bench-kernel: ebpf
	cargo build --release --locked -p relay-ebpf-bench
	@target/release/bench-kernel $(ARGS)

## what the relay adds to a packet's way, in the kernel and in userspace, in turns (root)
bench-delay: build
	cargo build --release --locked -p relay-ebpf-bench
	@target/release/bench-delay $(RELAY)

## whether a hundred thousand strangers move the delay of a stream (root, or ARGS="10 4 loopback")
bench-garbage: build
	cargo build --release --locked -p integration --example bench-garbage
	@target/release/examples/bench-garbage $(RELAY) $(ARGS)

## writes down how much the kernel's verifier has to follow in each program (root)
complexity: ebpf
	QUIC_RELAY_COMPLEXITY=write cargo test --locked -p relay-ebpf-loader --test complexity

## quinn, quiche, moq-test-client, moq-pub, moq-sub and a moq-net client against ours
foreign:
	QUIC_RELAY="$(CURDIR)/$(RELAY)" QUIC_RELAY_PEERS="$(CACHE)/peers/bin" CARGO_TARGET_DIR="$(CACHE)/foreign-target" \
		cargo test --locked --manifest-path tests/foreign/Cargo.toml

## the interop cases with quinn and quiche alone; what has become green is written into tests/interop/required.toml
interop-ratchet: build
	QUIC_RELAY="$(CURDIR)/$(RELAY)" QUIC_RELAY_RATCHET=write CARGO_TARGET_DIR="$(CACHE)/foreign-target" \
		cargo test --locked --manifest-path tests/foreign/Cargo.toml --test matrix -- --nocapture

## formatting, lints, no_std, documentation
check:
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo check --locked -p quic-lite --no-default-features
	cargo clippy --locked -p quic-relay --features disable-1rtt-encryption -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps

## each fuzz target for SECONDS, JOBS at once, with SEED (0: another each time); first the faults that were planted for the campaign to find
SECONDS ?= 20
SEED ?= 0
JOBS ?= $(shell nproc)
fuzz:
	@.ci/setup fuzz
	fuzz/tests/planted/check.py
	fuzz/campaign smoke --seconds $(SECONDS) --jobs $(JOBS) --seed $(SEED)
	fuzz/campaign --fuzz-dir fuzz/differential smoke --seconds $(SECONDS) --jobs $(JOBS) --seed $(SEED)

clean:
	cargo clean
