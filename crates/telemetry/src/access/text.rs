//! A record as a line for people: when, who, what, how it went; then `key=value`.

use super::escape::{put_name_word, put_word};
use super::record::{Client, FIELD, PATH, Record, put_ip};
use super::timestamp::Timestamp;
use crate::histogram::micros;
use crate::number;
use std::time::Duration;

/// Writes one line. Optional fields that have no value are left out, words that have none are `-`.
pub(super) fn put_line(out: &mut Vec<u8>, stamp: &mut Timestamp, record: &Record<'_>) {
    stamp.put(out, record.time);
    out.push(b' ');
    match record.client {
        Client::Ip(address) => put_ip(out, address),
        Client::Text(text) => put_word(out, text.as_bytes(), FIELD),
    }
    for (bytes, limit) in [(record.method, FIELD), (record.host, FIELD), (record.path, PATH)] {
        out.push(b' ');
        put_word(out, bytes, limit);
    }
    out.push(b' ');
    if record.status == 0 {
        out.push(b'-');
    } else {
        number::put_padded(out, u64::from(record.status), 3);
    }
    out.push(b' ');
    number::put_milliseconds(out, micros(record.duration));
    put_name(out, b" reason=", record.reason.map_or("", |reason| reason.word()));
    put_name(out, b" listener=", record.listener);
    put_name(out, b" route=", record.route);
    put_name(out, b" upstream=", record.upstream);
    put_name(out, b" endpoint=", record.endpoint);
    put_number(out, b" attempts=", u64::from(record.attempts));
    put_number(out, b" bytes_in=", record.bytes_in);
    put_number(out, b" bytes_out=", record.bytes_out);
    put_duration(out, b" time_to_connect=", record.connect);
    put_duration(out, b" time_to_first_byte=", record.first_byte);
    put_name(out, b" tls_version=", record.tls.unwrap_or_default());
    if !record.request_id.is_empty() {
        out.extend_from_slice(b" request_id=");
        put_word(out, record.request_id, FIELD);
    }
    out.push(b'\n');
}

fn put_name(out: &mut Vec<u8>, key: &[u8], name: &str) {
    if !name.is_empty() {
        out.extend_from_slice(key);
        put_name_word(out, name, FIELD);
    }
}

fn put_number(out: &mut Vec<u8>, key: &[u8], n: u64) {
    out.extend_from_slice(key);
    number::put(out, n);
}

fn put_duration(out: &mut Vec<u8>, key: &[u8], duration: Option<Duration>) {
    if let Some(duration) = duration {
        out.extend_from_slice(key);
        number::put_milliseconds(out, micros(duration));
    }
}
