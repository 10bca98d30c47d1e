//! A record as one JSON object on one line: always the same keys, `null` where there is no value, durations in seconds.

use super::escape::{put_name_string, put_string};
use super::record::{Client, FIELD, PATH, Record, put_ip};
use super::timestamp::Timestamp;
use crate::histogram::micros;
use crate::number;
use std::time::Duration;

/// Writes one line.
pub(super) fn put_line(out: &mut Vec<u8>, stamp: &mut Timestamp, record: &Record<'_>) {
    out.extend_from_slice(b"{\"time\":\"");
    stamp.put(out, record.time);
    out.push(b'"');
    put_bytes(out, b",\"request_id\":", record.request_id, FIELD);
    match record.client {
        Client::Ip(address) => {
            out.extend_from_slice(b",\"client\":\"");
            put_ip(out, address);
            out.push(b'"');
        }
        Client::Text(text) => put_name(out, b",\"client\":", text),
    }
    put_name(out, b",\"listener\":", record.listener);
    put_name(out, b",\"route\":", record.route);
    put_bytes(out, b",\"method\":", record.method, FIELD);
    put_bytes(out, b",\"host\":", record.host, FIELD);
    put_bytes(out, b",\"path\":", record.path, PATH);
    out.extend_from_slice(b",\"status\":");
    if record.status == 0 {
        out.extend_from_slice(b"null");
    } else {
        number::put(out, u64::from(record.status));
    }
    put_name(out, b",\"reason\":", record.reason.map_or("", |reason| reason.word()));
    put_number(out, b",\"bytes_in\":", record.bytes_in);
    put_number(out, b",\"bytes_out\":", record.bytes_out);
    put_duration(out, b",\"duration\":", Some(record.duration));
    put_name(out, b",\"upstream\":", record.upstream);
    put_name(out, b",\"endpoint\":", record.endpoint);
    put_number(out, b",\"attempts\":", u64::from(record.attempts));
    put_duration(out, b",\"time_to_connect\":", record.connect);
    put_duration(out, b",\"time_to_first_byte\":", record.first_byte);
    put_name(out, b",\"tls_version\":", record.tls.unwrap_or_default());
    out.extend_from_slice(b"}\n");
}

fn put_bytes(out: &mut Vec<u8>, key: &[u8], bytes: &[u8], limit: usize) {
    out.extend_from_slice(key);
    if bytes.is_empty() { out.extend_from_slice(b"null") } else { put_string(out, bytes, limit) }
}

fn put_name(out: &mut Vec<u8>, key: &[u8], name: &str) {
    out.extend_from_slice(key);
    if name.is_empty() { out.extend_from_slice(b"null") } else { put_name_string(out, name, FIELD) }
}

fn put_number(out: &mut Vec<u8>, key: &[u8], n: u64) {
    out.extend_from_slice(key);
    number::put(out, n);
}

fn put_duration(out: &mut Vec<u8>, key: &[u8], duration: Option<Duration>) {
    out.extend_from_slice(key);
    match duration {
        Some(duration) => number::put_seconds(out, micros(duration)),
        None => out.extend_from_slice(b"null"),
    }
}
