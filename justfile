# What is done often; `just` lists it. Nothing here is more than the command it shows.

_list:
    @just --list

# Formatting, lints and what `tidy` keeps true
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
    cargo xtask tidy

# Every ring that needs nothing but this machine
test *ARGUMENTS:
    cargo test --workspace --locked {{ARGUMENTS}}

# Against nginx and HAProxy, where they are installed; prints Markdown (`just bench --quick`)
bench *ARGUMENTS:
    cargo xtask bench {{ARGUMENTS}}

# Instruction counts against the committed ones; needs valgrind (`just instructions --bless`)
instructions *ARGUMENTS:
    cargo xtask instructions {{ARGUMENTS}}

# A whole cluster in one process
demo *ARGUMENTS:
    cargo run --release -- demo {{ARGUMENTS}}

# Formats everything
fmt:
    cargo fmt --all
