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

# The cluster in containers, with Prometheus and Grafana (`just cluster -d`); docs/cluster.md says what to look at
cluster *ARGUMENTS:
    docker-compose up --build {{ARGUMENTS}}

# The cluster built, started and broken under load, where there is a Docker engine
test-cluster:
    EVENKEEL_CLUSTER=1 cargo test -p evenkeel-tests --test cluster --locked -- --nocapture

# Formats everything
fmt:
    cargo fmt --all
