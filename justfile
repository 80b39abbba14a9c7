# Shortcuts; `.ci/run` does all of the checks and needs no `just`.

# List the recipes.
default:
    @just --list

# Everything that must hold before a change is merged.
ci:
    .ci/run

# Format the code.
fmt:
    cargo fmt --all

# Warnings are errors.
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings

# All tests, or those whose name contains FILTER.
test FILTER="":
    cargo test --workspace --locked {{FILTER}}

# The documentation; warnings are errors.
doc:
    RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --locked --no-deps

# Compile the benches without running them.
bench-build:
    cargo bench --workspace --locked --no-run

# What `cargo publish` would upload, type-checked away from the repository.
packages:
    scripts/check-packages

# The workspace type-checked for Windows, macOS and Linux on ARM, or for TARGETS.
targets *TARGETS:
    scripts/check-targets {{TARGETS}}

# The kernels' unit tests for Linux on 64-bit Arm, under QEMU; or `cargo test` with ARGUMENTS.
test-arm *ARGUMENTS:
    scripts/test-arm {{ARGUMENTS}}

# A simulated shop from click log to recommendations.
demo:
    cargo run --release --locked -- demo

# Install the program `upnext`.
install:
    cargo install --locked --path crates/upnext

# Build the container image.
image:
    podman build --tag upnext --file Containerfile .
