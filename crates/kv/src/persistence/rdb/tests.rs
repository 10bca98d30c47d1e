//! What Redis wrote is read as what it holds, what is written is read as the same, and nothing that is damaged is believed.

use std::collections::BTreeMap;
use std::io::{self, Read};

use proptest::prelude::*;

use super::*;
use crate::store::Value;

/// Made by Redis 7.0.15: every encoding it writes of values of our types, two databases, a library of functions.
const REDIS7: &[u8] = include_bytes!("redis7.rdb");

/// The entries of a file, as `db key` with what it holds.
fn entries(bytes: impl Read) -> Result<BTreeMap<String, String>, Error> {
    let mut reader = Reader::new(bytes);
    let mut entries = BTreeMap::new();
    while let Some(item) = reader.next_item()? {
        if let Item::Entry(entry) = item {
            let mut shown = shown(&entry.value);
            if let Some(at) = entry.expires {
                shown.push_str(&format!(" until {at}"));
            }
            entries.insert(format!("{} {}", entry.db, entry.key.escape_ascii()), shown);
        }
    }
    Ok(entries)
}

fn shown(value: &Value) -> String {
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    let sorted = |mut elements: Vec<String>| {
        elements.sort();
        elements.join(" ")
    };
    match value {
        Value::Text(value) => text(value.as_bytes()),
        Value::List(list) => list.iter().map(text).collect::<Vec<_>>().join(" "),
        Value::Set(set) => sorted(set.iter().map(|member| text(member.as_ref())).collect()),
        Value::Hash(hash) => {
            sorted(hash.iter().map(|(field, value)| text(field) + "=" + &text(value)).collect())
        }
        Value::SortedSet(set) => set
            .iter()
            .map(|(member, score)| format!("{}={score}", text(member)))
            .collect::<Vec<_>>()
            .join(" "),
    }
}

/// The same file, written by us.
fn rewritten(bytes: &[u8]) -> Vec<u8> {
    let (mut reader, mut writer, mut out) = (Reader::new(bytes), Writer::new(), Vec::new());
    while let Some(item) = reader.next_item().unwrap() {
        match item {
            Item::Entry(entry) => writer.entry(entry.db, &entry.key, &entry.value, entry.expires),
            Item::Sizes { db, keys, volatile } => writer.sizes(db, keys as usize, volatile as usize),
            Item::Fact { name, value } => {
                writer.fact(std::str::from_utf8(&name).unwrap(), std::str::from_utf8(&value).unwrap());
            }
            Item::Skipped(_) => {}
        }
        out.extend(writer.take());
    }
    out.extend(writer.finish());
    out
}

#[test]
fn what_redis_wrote_is_read() {
    let entries = entries(REDIS7).unwrap();
    let entry = |key: &str| entries.get(key).map(String::as_str).unwrap_or("nothing");
    assert_eq!(entries.len(), 24);
    assert_eq!(entry("0 text"), "hello");
    assert_eq!(entry("0 empty"), "");
    assert_eq!(entry("0 int8"), "-12");
    assert_eq!(entry("0 int16"), "1234");
    assert_eq!(entry("0 int32"), "-123456789");
    assert_eq!(entry("0 int64"), "9223372036854775807");
    assert_eq!(entry("0 not-a-number"), "007");
    let all: Vec<u8> = (0..=255).collect();
    assert_eq!(entry("0 bin\\x00\\xff"), all.escape_ascii().to_string());
    assert_eq!(entry("0 packed"), "abcdefgh".repeat(40));
    assert_eq!(entry("0 until-2100"), "x until 4102444800123");
    assert_eq!(entry("0 list-small"), format!("a 1 -5 300 70000 5000000000 {} ", "x".repeat(70)));
    let nodes: Vec<_> = (0..1500).map(|number| format!("element {number}")).collect();
    assert_eq!(entry("0 list-nodes"), nodes.join(" "));
    assert_eq!(entry("0 list-plain"), "y".repeat(9000) + " z");
    assert_eq!(entry("0 set-int"), "-2 1 30000");
    assert_eq!(entry("0 set-int32"), "1 100000");
    assert_eq!(entry("0 set-int64"), "1 1099511627776");
    let mut members: Vec<_> = (0..20).map(|number| format!("member {number}")).collect();
    members.sort();
    assert_eq!(entry("0 set-text"), members.join(" "));
    assert_eq!(entry("0 hash-small"), format!("f=v long={} n=12", "l".repeat(60)));
    let mut fields: Vec<_> = (0..200).map(|number| format!("field {number}={number}")).collect();
    fields.sort();
    assert_eq!(entry("0 hash-large"), fields.join(" "));
    assert_eq!(entry("0 sorted-small"), "minus=-inf b=-1.5 tiny=0.000000001 a=1 inf=inf");
    let members: Vec<_> =
        (0..200).map(|number| format!("member {number}={}", f64::from(number) / 7.0)).collect();
    assert_eq!(entry("0 sorted-large"), members.join(" "));
    assert_eq!(entry("9 elsewhere"), "9");
    assert_eq!(entry("9 l"), "1 2");
}

#[test]
fn what_is_written_is_read_as_the_same() {
    let ours = rewritten(REDIS7);
    assert_eq!(entries(&*ours).unwrap(), entries(REDIS7).unwrap());
    let mut reader = Reader::new(&*ours);
    let first = reader.next_item().unwrap();
    assert!(matches!(first, Some(Item::Fact { name, value }) if name == b"redis-ver" && value == b"7.0.15"));
}

#[test]
fn what_follows_a_file_is_left() {
    let mut reader = Reader::new([REDIS7, b"and more"].concat().chain_of(5));
    while reader.next_item().unwrap().is_some() {}
    assert!(reader.next_item().unwrap().is_none());
    let (mut rest, mut input) = reader.into_rest();
    input.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"and more");
}

#[test]
fn what_is_not_ours_is_named() {
    let error = |bytes: &[u8]| entries(bytes).unwrap_err().to_string();
    assert_eq!(error(b"*1\r\n$4\r\nPING\r\n"), "at byte 0: this is no RDB file");
    assert_eq!(error(b"REDIS0099"), "at byte 5: RDB version 99 is not known here");
    assert_eq!(
        error(b"REDIS0009\xfe\x10"),
        "at byte 11: a database beyond number 15 cannot be loaded: this server has nothing of that kind"
    );
    assert_eq!(
        error(b"REDIS0009\x13\x01k"),
        "at byte 10: a stream cannot be loaded: this server has nothing of that kind"
    );
    assert_eq!(error(b"REDIS0009\x55"), "at byte 10: byte 85 announces nothing known");
    assert_eq!(error(b"REDIS0009\0\x01k\x05abc"), "at byte 16: it ends too early");
    assert_eq!(
        error(b"REDIS0009\x05\x01k\x01\x01m\0\0\0\0\0\0\xf8\x7f"),
        "at byte 23: a score that is no number"
    );
    let mut wrong = rewritten(REDIS7);
    *wrong.last_mut().unwrap() ^= 1;
    assert!(error(&wrong).contains("the checksum is"), "{}", error(&wrong));
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("no such luck"))
        }
    }
    assert_eq!(entries(Broken).unwrap_err().to_string(), "at byte 0: no such luck");
}

#[test]
fn an_announced_length_takes_no_memory() {
    // A string of 2^63 bytes, a list of 2^63 elements, a packed string of 2^40: all end with the file.
    for bytes in [
        &b"REDIS0009\0\x01k\x81\x7f\xff\xff\xff\xff\xff\xff\xffabc"[..],
        b"REDIS0009\x01\x01k\x81\x7f\xff\xff\xff\xff\xff\xff\xff\x01a",
        b"REDIS0009\0\x01k\xc3\x03\x81\0\0\x01\0\0\0\0\0\x02abc",
    ] {
        entries(bytes).unwrap_err();
    }
}

#[test]
fn every_truncation_is_noticed() {
    let ours = rewritten(REDIS7);
    let lengths = (0..300).chain((300..ours.len()).step_by(37)).chain(ours.len() - 20..ours.len());
    for length in lengths {
        let error = entries(&ours[..length]).unwrap_err();
        assert!(error.offset <= length as u64, "{error}");
    }
}

/// Reads in pieces, so that the buffer's edges are met.
struct Pieces {
    bytes: Vec<u8>,
    at: usize,
    size: usize,
}

trait ChainOf {
    fn chain_of(self, size: usize) -> Pieces;
}

impl ChainOf for Vec<u8> {
    fn chain_of(self, size: usize) -> Pieces {
        Pieces { bytes: self, at: 0, size }
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.size.min(buffer.len()).min(self.bytes.len() - self.at);
        buffer[..length].copy_from_slice(&self.bytes[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn random_bytes_are_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..600), is_file: bool) {
        if is_file {
            bytes.splice(0..0, *b"REDIS0011");
        }
        // Whatever it says; without a checksum (0) random bytes can be a file by chance.
        let _ = entries(&*bytes);
    }

    #[test]
    fn every_flipped_bit_is_noticed(at in 9usize..14_000, bit in 0u8..8) {
        let mut bytes = REDIS7.to_vec();
        bytes[at] ^= 1 << bit;
        prop_assert!(entries(&*bytes).is_err());
    }

    #[test]
    fn damage_that_a_checksum_would_hide_does_no_harm(
        edits in proptest::collection::vec((9usize..14_000, any::<u8>()), 1..6),
    ) {
        let mut bytes = REDIS7.to_vec();
        for (at, byte) in edits {
            bytes[at] = byte;
        }
        // A checksum of 0 is none.
        let end = bytes.len() - 8;
        bytes[end..].fill(0);
        let _ = entries(&*bytes);
    }

    #[test]
    fn pieces_of_any_size_are_the_same(size in 1usize..5000) {
        prop_assert_eq!(entries(REDIS7.to_vec().chain_of(size)).unwrap().len(), 24);
    }
}
