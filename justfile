# What a developer runs; .ci/run holds the commands, so that both check the same.

python := env("PYTHON", "python3")

# list the recipes
default:
    @just --list

# virtual environment with everything, extension built for development
setup:
    {{ python }} -m venv .venv
    .venv/bin/pip install maturin
    .venv/bin/maturin develop --release --extras dev

# rebuild the extension after a change in rust/
build:
    .venv/bin/maturin develop --release

# Python tests, of what is installed in .venv
test *arguments:
    .venv/bin/pytest {{ arguments }}

# Rust tests
test-rust:
    bash .ci/run rust

# ruff, rustfmt, clippy
lint:
    bash .ci/run lint

# mypy --strict, and the stub of unrolled._core against the extension
types:
    bash .ci/run types

# format both languages
format:
    .venv/bin/ruff check --fix
    .venv/bin/ruff format
    cargo fmt --all

# benchmarks against the peers (a quarter of an hour; -k chooses)
bench *arguments:
    .venv/bin/pytest benches {{ arguments }}

# the documentation site (build/site) and that of the crate, warnings denied
docs:
    bash .ci/run docs

# all of it, as in continuous integration
ci:
    bash .ci/run
