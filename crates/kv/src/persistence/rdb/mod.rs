//! RDB, the format of Redis' snapshots: what we write any Redis since 5 can load, and what Redis 7 writes we can.
//!
//! The format has no specification but its implementation; `rdb.h`, `listpack.c` and `ziplist.c` of Redis 7.0 say what
//! is here. We write the plain encodings only, which every version reads; the compact ones are read. Both directions are
//! pure and streaming: neither ever has the whole file in memory.

mod compact;
mod lzf;
mod read;
mod source;
mod write;

pub use read::{Entry, Item, Reader};
pub use source::{Error, Reason};
pub use write::Writer;

use crc::{CRC_64_REDIS, Crc, Digest, Table};

/// The checksum at the end of a file, in the fastest form that takes no more than 32 KiB of tables.
static CHECKSUM: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_REDIS);

type Checksum = Digest<'static, u64, Table<16>>;

/// Bytes that announce what comes, where an entry could begin.
mod opcode {
    pub(super) const SLOT: u8 = 244;
    pub(super) const FUNCTION: u8 = 245;
    pub(super) const MODULE_AUX: u8 = 247;
    pub(super) const IDLE: u8 = 248;
    pub(super) const FREQUENCY: u8 = 249;
    pub(super) const AUX: u8 = 250;
    pub(super) const SIZES: u8 = 251;
    pub(super) const EXPIRES_MILLIS: u8 = 252;
    pub(super) const EXPIRES_SECONDS: u8 = 253;
    pub(super) const DATABASE: u8 = 254;
    pub(super) const END: u8 = 255;
}

/// How a value is written.
mod kind {
    pub(super) const STRING: u8 = 0;
    pub(super) const LIST: u8 = 1;
    pub(super) const SET: u8 = 2;
    pub(super) const SORTED_SET_TEXT: u8 = 3;
    pub(super) const HASH: u8 = 4;
    pub(super) const SORTED_SET: u8 = 5;
    pub(super) const LIST_ZIPLIST: u8 = 10;
    pub(super) const SET_INTSET: u8 = 11;
    pub(super) const SORTED_SET_ZIPLIST: u8 = 12;
    pub(super) const HASH_ZIPLIST: u8 = 13;
    pub(super) const LIST_ZIPLISTS: u8 = 14;
    pub(super) const HASH_LISTPACK: u8 = 16;
    pub(super) const SORTED_SET_LISTPACK: u8 = 17;
    pub(super) const LIST_LISTPACKS: u8 = 18;
    pub(super) const SET_LISTPACK: u8 = 20;
}

#[cfg(test)]
mod tests;
