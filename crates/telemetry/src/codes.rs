//! How many answers there were of each method and status code: sparse, bounded, one writer, readers without locks.

use crate::counter::Counter;
use crate::method::Method;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

/// Pairs per block. A route sees a handful: one block, 112 bytes, nearly always.
const PAIRS: usize = 8;

/// Counts per (method, code). The pairs seen first stand first, so the usual ones are found at once; with ten
/// methods and 501 codes the chain ends at 627 blocks whatever an endpoint answers.
#[derive(Debug, Default)]
pub(crate) struct Codes {
    first: Block,
}

#[derive(Debug, Default)]
struct Block {
    /// 0 is free. Written before its count is read: stored with release, loaded with acquire.
    keys: [AtomicU32; PAIRS],
    counts: [Counter; PAIRS],
    next: OnceLock<Box<Block>>,
}

impl Codes {
    /// Adds `n` answers. Code 0 is "no answer was sent"; others are brought into 100..=599.
    pub(crate) fn add(&self, method: Method, code: u16, n: u64) {
        let key = key(method, code);
        let mut block = &self.first;
        loop {
            for (slot, count) in block.keys.iter().zip(&block.counts) {
                let seen = slot.load(Relaxed);
                if seen == key {
                    return count.add(n);
                }
                if seen == 0 {
                    count.add(n);
                    return slot.store(key, Release);
                }
            }
            block = block.next.get_or_init(Box::default);
        }
    }

    /// Calls `visit` with every pair seen so far and its count, in order of first appearance.
    pub(crate) fn each(&self, mut visit: impl FnMut(Method, u16, u64)) {
        let mut block = Some(&self.first);
        while let Some(at) = block {
            for (slot, count) in at.keys.iter().zip(&at.counts) {
                if let Some((method, code)) = pair(slot.load(Acquire)) {
                    visit(method, code, count.value());
                }
            }
            block = at.next.get().map(|next| &**next);
        }
    }

    /// Adds all of `other`.
    pub(crate) fn absorb(&self, other: &Self) {
        other.each(|method, code, n| self.add(method, code, n));
    }
}

/// Never 0: the method is counted from 1.
fn key(method: Method, code: u16) -> u32 {
    let code = if code == 0 { 0 } else { code.clamp(100, 599) };
    ((method as u32 + 1) << 16) | u32::from(code)
}

fn pair(key: u32) -> Option<(Method, u16)> {
    let method = (key >> 16).checked_sub(1)?;
    let method = *Method::ALL.get(usize::try_from(method).ok()?)?;
    Some((method, u16::try_from(key & 0xffff).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn seen(codes: &Codes) -> BTreeMap<(Method, u16), u64> {
        let mut all = BTreeMap::new();
        codes.each(|method, code, n| assert!(all.insert((method, code), n).is_none(), "a pair twice"));
        all
    }

    #[test]
    fn every_pair_is_counted_once_and_the_chain_is_bounded() {
        let codes = Codes::default();
        for method in Method::ALL {
            for code in (0..700).chain([u16::MAX]) {
                codes.add(method, code, 1);
            }
        }
        let all = seen(&codes);
        assert_eq!(all.len(), 10 * 501);
        assert_eq!(all[&(Method::Get, 0)], 1);
        assert_eq!(all[&(Method::Get, 100)], 100, "1..=100");
        assert_eq!(all[&(Method::Other, 404)], 1);
        assert_eq!(all[&(Method::Patch, 599)], 102, "599..=699 and the largest");
        assert_eq!(all.values().sum::<u64>(), 10 * 701);
    }

    #[test]
    fn a_reader_beside_the_writer_sees_whole_pairs_that_only_grow() {
        let codes = Codes::default();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for round in 0..200u64 {
                    for code in 200..260 {
                        codes.add(Method::Get, code, round);
                    }
                }
            });
            let mut before = BTreeMap::new();
            while !writer.is_finished() {
                let now = seen(&codes);
                for (pair, n) in &before {
                    assert!(now.get(pair) >= Some(n), "{pair:?} shrank");
                }
                before = now;
            }
        });
        assert!(seen(&codes).values().all(|n| *n == 199 * 200 / 2));
    }
}
