# freshgate as a small image: the binary on Debian, run by a user who owns nothing but its state.
#
#   docker build -t freshgate .
#   docker run --rm -p 8080:8080 -v freshgate-data:/var/lib/freshgate freshgate
#
# Checked by tests/container/run.

FROM rust:1-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin freshgate && strip target/release/freshgate

FROM debian:bookworm-slim
# A fixed number, so that a volume made elsewhere can be given to it beforehand (chown 10001:10001).
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /var/lib/freshgate --shell /usr/sbin/nologin freshgate \
    && install -d -o freshgate -g freshgate -m 0700 /var/lib/freshgate \
    && install -d /etc/freshgate
# The roots that servers are checked by, when the gateway asks one over TLS.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/target/release/freshgate /usr/local/bin/freshgate
COPY docs/container/gateway.toml /etc/freshgate/gateway.toml
USER 10001:10001
WORKDIR /var/lib/freshgate
# 8080 is for clients. 8081 is the operator's: it answers outside the container only if gateway.toml says so.
EXPOSE 8080 8081
# /etc/freshgate holds gateway.toml, /var/lib/freshgate the signing key, sessions and users.
VOLUME ["/etc/freshgate", "/var/lib/freshgate"]
# The binary asks itself: there is no curl in here. Images in OCI format drop this line, Docker's keep it.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["freshgate", "health", "--config", "/etc/freshgate/gateway.toml"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["freshgate"]
CMD ["run", "--config", "/etc/freshgate/gateway.toml"]
