# One image with all programs of Evenkeel: evenkeel, toy-backend, evenkeel-kv. `docker build -t evenkeel .`
#
# PROFILE=dev builds in a fraction of the time, for trying things out: `docker build --build-arg PROFILE=dev .`

ARG RUST=1.95
FROM rust:${RUST}-bookworm AS rust

# The manifests with empty sources, kept only where cargo wants a file: what the next stage starts from changes only when
# a dependency does.
FROM rust AS manifests
WORKDIR /src
COPY . .
RUN find . -type f ! -name Cargo.toml ! -name Cargo.lock \
      ! -path '*/src/lib.rs' ! -path '*/src/main.rs' ! -path '*/benches/*.rs' -delete \
 && find . -type f -name '*.rs' -exec sh -c 'for file; do case "$file" in \
      */lib.rs) : > "$file" ;; *) echo "fn main() { }" > "$file" ;; esac; done' stub {} +

FROM rust AS build
ARG PROFILE=release
# Static, so that the image needs no libraries: since 2.34 glibc has the look-up of names built in.
ENV RUSTFLAGS="-C target-feature=+crt-static" CARGO_INCREMENTAL=0
WORKDIR /src
COPY --from=manifests /src .
RUN cargo build --locked --profile "$PROFILE" --target "$(rustc -vV | sed -n 's/^host: //p')" \
      -p evenkeel -p evenkeel-backend -p evenkeel-kv
COPY . .
# Cargo goes by times, and those of the sources are older than what was just built.
RUN find crates tests -name '*.rs' -exec touch {} + \
 && host="$(rustc -vV | sed -n 's/^host: //p')" \
 && cargo build --locked --profile "$PROFILE" --target "$host" \
      -p evenkeel -p evenkeel-backend -p evenkeel-kv --bins \
 && mkdir -p /image/usr/local/bin /image/etc/evenkeel /data \
 && case "$PROFILE" in dev) directory=debug ;; *) directory="$PROFILE" ;; esac \
 && for program in evenkeel toy-backend evenkeel-kv; do \
      cp "target/$host/$directory/$program" /image/usr/local/bin/ && strip "/image/usr/local/bin/$program"; \
    done \
 && cp config/compose/evenkeel.toml /image/etc/evenkeel/

FROM scratch
COPY --from=build /image /
# Belongs to the user below, so that a volume mounted here does.
COPY --from=build --chown=65532:65532 /data /data
ENV PATH=/usr/local/bin
USER 65532:65532
WORKDIR /data
EXPOSE 8080 9900
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s CMD ["evenkeel", "ready"]
CMD ["evenkeel", "run"]
