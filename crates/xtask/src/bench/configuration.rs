//! The configurations of the programs: what a careful operator writes, with the same features on in all.
//!
//! One worker, keep-alive on both sides with room for every connection, `X-Forwarded-For`, `X-Forwarded-Proto` and a
//! random `X-Request-Id` on every request, health checks where the program has them, the same timeouts.

use std::net::SocketAddr;
use std::path::Path;

/// What a configuration is made for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting<'a> {
    /// Where clients connect.
    pub(super) listen: SocketAddr,
    /// Where requests go.
    pub(super) origins: &'a [SocketAddr],
    /// A directory for logs and other files.
    pub(super) directory: &'a Path,
    /// Whether every request is logged, to a file in `directory`.
    pub(super) access_log: bool,
    /// Worker threads or processes.
    pub(super) workers: usize,
    /// File descriptors a process may have.
    pub(super) open_files: usize,
}

/// Evenkeel: probes and metrics on.
pub(super) fn evenkeel(setting: &Setting<'_>) -> String {
    let Setting { listen, origins, directory, workers, .. } = setting;
    let endpoints: Vec<String> = origins.iter().map(SocketAddr::to_string).collect();
    let access = if setting.access_log {
        directory.join("access.log").display().to_string()
    } else {
        "off".to_owned()
    };
    format!(
        r#"[server]
workers = {workers}
shutdown_timeout = "2s"

[admin]
address = "127.0.0.1:0"

[log]
access = "{access}"

[listener.web]
address = "{listen}"
upstream = "app"

[upstream.app]
endpoints = {endpoints:?}

[upstream.app.health]
path = "/healthz"
interval = "2s"

[upstream.app.pool]
idle_connections = 1024
idle = "60s"
"#
    )
}

/// nginx: its log buffered, its answers never written to disk. It has no active checks.
pub(super) fn nginx(setting: &Setting<'_>) -> String {
    let Setting { listen, workers, .. } = setting;
    let directory = setting.directory.display();
    let servers: String =
        setting.origins.iter().map(|origin| format!("        server {origin};\n")).collect();
    let connections = setting.open_files.min(20_000);
    let access = if setting.access_log {
        format!("{directory}/access.log combined buffer=64k flush=1s")
    } else {
        "off".to_owned()
    };
    format!(
        r#"daemon off;
worker_processes {workers};
pid {directory}/nginx.pid;
error_log {directory}/error.log warn;
events {{
    worker_connections {connections};
    multi_accept off;
}}
http {{
    access_log {access};
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    keepalive_timeout 60s;
    keepalive_requests 1000000000;
    client_header_timeout 10s;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    upstream app {{
{servers}        keepalive 1024;
        keepalive_requests 1000000000;
        keepalive_timeout 60s;
    }}
    server {{
        listen {listen} backlog=4096;
        location / {{
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_connect_timeout 1s;
            proxy_read_timeout 30s;
            proxy_max_temp_file_size 0;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Request-Id $request_id;
        }}
    }}
}}
"#
    )
}

/// HAProxy: its log on standard output, which is a file. Two descriptors for each connection, so `maxconn` follows
/// what a process may have.
pub(super) fn haproxy(setting: &Setting<'_>) -> String {
    let Setting { listen, workers, .. } = setting;
    let maxconn = (setting.open_files.saturating_sub(200) / 2).min(20_000);
    let (log, httplog) = if setting.access_log {
        ("    log stdout format raw daemon\n", "    log global\n    option httplog\n")
    } else {
        ("", "")
    };
    let servers: String = setting
        .origins
        .iter()
        .enumerate()
        .map(|(index, origin)| format!("    server app{index} {origin} check inter 2s\n"))
        .collect();
    format!(
        r#"global
    nbthread {workers}
    maxconn {maxconn}
{log}
defaults
    mode http
{httplog}    timeout connect 1s
    timeout client 60s
    timeout server 30s
    timeout http-request 10s
    timeout http-keep-alive 60s
    http-reuse always
    option forwardfor

frontend web
    bind {listen}
    unique-id-format %[uuid()]
    unique-id-header X-Request-Id
    http-request set-header X-Forwarded-Proto http
    default_backend app

backend app
    balance roundrobin
    option httpchk GET /healthz
{servers}"#
    )
}
