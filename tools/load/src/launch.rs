//! How each server is started: its program, arguments and settings.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};
use serde_json::json;

use crate::drivers::sockudo::{KEY, SECRET};
use crate::servers::{CERTIFICATE, Programs, free_port};

/// The command for a server that listens on `address`; its settings are written into `folder`.
pub(crate) fn command(
    name: &str,
    programs: &Programs,
    address: SocketAddr,
    folder: &Path,
) -> Result<Command> {
    let port = address.port().to_string();
    let threads = programs.threads.to_string();
    let script = |runtime: &Path, file: &str| {
        let mut command = Command::new(runtime);
        command.arg(programs.peers.join(file)).arg(&port);
        command
    };
    let configured = |program: &Path, option: &str, file: &str, text: String| -> Result<Command> {
        let config = folder.join(file);
        std::fs::write(&config, text)?;
        let mut command = Command::new(program);
        command.arg(option).arg(config);
        Ok(command)
    };
    let node = Path::new("node");
    Ok(match name {
        "tidings" | "tidings-tls" | "tidings-logging" => tidings(name, programs, address, folder)?,
        "uws" => script(&programs.peers.join("node_modules/.bin/bun"), "uws.mjs"),
        "ws" => script(node, "ws.mjs"),
        "socketio" => script(node, "socketio.mjs"),
        "nats" => {
            let text = nats_config(address)?;
            let program = Path::new("nats-server");
            let mut command = configured(program, "--config", "nats.conf", text)?;
            command.env("GOMAXPROCS", threads);
            command
        }
        "mosquitto" => {
            let text = mosquitto_config(&port);
            configured(Path::new("mosquitto"), "-c", "mosquitto.conf", text)?
        }
        "sockudo" => {
            let text = sockudo_config(address).to_string();
            let program = programs.built("sockudo");
            let mut command = configured(&program, "--config", "sockudo.json", text)?;
            command.env("TOKIO_WORKER_THREADS", threads);
            command.env("RUST_LOG", "off");
            command
        }
        "centrifuge" => {
            let mut command = Command::new(programs.built("centrifuge"));
            command.arg(&port).env("GOMAXPROCS", threads);
            command
        }
        "nchan" => {
            let text = nchan_config(address, folder, programs.threads);
            let mut command = configured(Path::new("nginx"), "-c", "nginx.conf", text)?;
            command.arg("-p").arg(folder);
            command.arg("-e").arg(folder.join("error.log"));
            command
        }
        name => floor(name, address)?,
    })
}

/// The key with which backends call our server in a comparison.
pub(crate) const API_KEY: &str =
    "tdk_backendsload_5899fe000fab09e47fac725b3a9829c3cba6d36cc197389b105c4bb48cbc1b43";

fn tidings(name: &str, programs: &Programs, address: SocketAddr, folder: &Path) -> Result<Command> {
    let mut command = Command::new(&programs.tidings);
    let log: &[&str] = match name {
        "tidings-logging" => &["--log", "info", "--log-format", "json"],
        _ => &["--log", "error"],
    };
    command
        .args(["serve", "--dev"])
        .args(log)
        .arg("--listen")
        .arg(address.to_string())
        .args(["--hubs", &programs.threads.to_string()])
        .args(["--disk-reserve", "0"])
        .args(["--api-rate", "unlimited"])
        .args(["--webhooks-allow", "127.0.0.0/8"])
        .env("TIDINGS_API_KEY", API_KEY)
        .arg("--data-dir")
        .arg(folder.join("data"));
    if name == "tidings-tls" {
        let (certificate, key) = (folder.join(CERTIFICATE), folder.join("key.pem"));
        let pair = rcgen::generate_simple_self_signed([address.ip().to_string()])?;
        std::fs::write(&certificate, pair.cert.pem())?;
        std::fs::write(&key, pair.signing_key.serialize_pem())?;
        command.arg("--tls-cert").arg(certificate);
        command.arg("--tls-key").arg(key);
    }
    Ok(command)
}

/// `floor`, or `floor-16` with frames per write.
fn floor(name: &str, address: SocketAddr) -> Result<Command> {
    let frames = match name.split_once('-') {
        None if name == "floor" => "1",
        Some(("floor", frames)) => frames,
        _ => bail!("there is no server {name:?}"),
    };
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["floor", "--frames-per-write", frames, "--listen"])
        .arg(address.to_string());
    Ok(command)
}

fn sockudo_config(address: SocketAddr) -> serde_json::Value {
    let limits =
        json!({ "max_connections": 1_000_000, "max_client_events_per_second": 10_000_000 });
    let features = json!({ "enable_client_messages": true });
    let app = json!({
        "id": "load", "key": KEY, "secret": SECRET, "enabled": true,
        "policy": { "limits": limits, "features": features },
    });
    json!({
        "host": address.ip(), "port": address.port(),
        "app_manager": { "driver": "memory", "array": { "apps": [app] } },
        "metrics": { "enabled": false },
        "rate_limiter": { "enabled": false },
        "http_api": { "accept_traffic": { "enabled": false } },
        "queue": { "driver": "memory" },
    })
}

fn nchan_config(address: SocketAddr, folder: &Path, threads: u16) -> String {
    let folder = folder.display();
    format!(
        "load_module /usr/lib/nginx/modules/ngx_nchan_module.so;\n\
         daemon off;\nworker_processes {threads};\nworker_rlimit_nofile 20000;\npid {folder}/pid;\n\
         events {{ worker_connections 19000; }}\n\
         http {{\n access_log off;\n error_log {folder}/error.log crit;\n nchan_shared_memory_size 512m;\n\
         client_body_temp_path {folder}/body;\n proxy_temp_path {folder}/proxy;\n fastcgi_temp_path {folder}/fastcgi;\n\
         uwsgi_temp_path {folder}/uwsgi;\n scgi_temp_path {folder}/scgi;\n\
         server {{\n  listen {address} backlog=4096;\n\
         location ~ ^/room/(\\d+)$ {{\n nchan_pubsub websocket;\n nchan_channel_id $1;\n\
         nchan_message_buffer_length 1000;\n nchan_message_timeout 10s;\n nchan_subscriber_first_message newest;\n }}\n }}\n}}\n"
    )
}

fn nats_config(address: SocketAddr) -> Result<String> {
    Ok(format!(
        "listen: 127.0.0.1:{}\nmax_connections: 100000\nmax_pending: 256MB\nwrite_deadline: \"60s\"\n\
         ping_interval: \"30s\"\nwebsocket {{ listen: \"{address}\", no_tls: true, compression: false }}\n",
        free_port()?
    ))
}

fn mosquitto_config(port: &str) -> String {
    format!(
        "listener {port}\nbind_interface lo\nprotocol websockets\nallow_anonymous true\nmax_queued_messages 0\n\
         set_tcp_nodelay true\nlog_type none\n"
    )
}
