//! [`SlowLog`]: the last commands that took long.

use std::collections::VecDeque;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::resp::Args;

/// The last commands that took longer than the threshold, of all threads.
#[derive(Debug, Default)]
pub(crate) struct SlowLog {
    last: AtomicU64,
    entries: Mutex<VecDeque<SlowCommand>>,
}

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct SlowCommand {
    pub(crate) id: u64,
    /// Seconds since 1970.
    pub(crate) at: u64,
    pub(crate) micros: u64,
    pub(crate) words: Vec<Vec<u8>>,
    pub(crate) address: String,
    pub(crate) name: Vec<u8>,
}

/// Words kept of one command, and bytes of one word, as in Redis.
const MOST_WORDS: usize = 32;
const LONGEST_WORD: usize = 128;

impl SlowLog {
    /// Keeps a command; the oldest go if there are more than `most`.
    pub(crate) fn add(&self, command: SlowCommand, most: usize) {
        let id = self.last.fetch_add(1, Relaxed);
        let mut entries = self.lock();
        entries.push_front(SlowCommand { id, ..command });
        entries.truncate(most);
    }

    /// The newest, at most `count`.
    pub(crate) fn newest(&self, count: usize) -> Vec<SlowCommand> {
        self.lock().iter().take(count).cloned().collect()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Forgets them.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<SlowCommand>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The words of a command, cut short where there are many or long ones.
pub(crate) fn shortened(args: &Args<'_>) -> Vec<Vec<u8>> {
    let (kept, more) = match args.len() {
        all @ ..=MOST_WORDS => (all, None),
        all => (MOST_WORDS - 1, Some(format!("... ({} more arguments)", all - MOST_WORDS + 1).into_bytes())),
    };
    let word = |word: &[u8]| match word.get(..LONGEST_WORD) {
        Some(start) if word.len() > LONGEST_WORD => {
            let more = format!("... ({} more bytes)", word.len() - LONGEST_WORD);
            [start, more.as_bytes()].concat()
        }
        _ => word.to_vec(),
    };
    args.iter().take(kept).map(word).chain(more).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::words::Words;

    #[test]
    fn long_commands_are_cut_short() {
        let long = vec![b'x'; 200];
        let words: Words = (0..40).map(|_| long.as_slice()).collect();
        let short = shortened(&words.args());
        assert_eq!(short.len(), 32);
        assert_eq!(short[0], [&long[..128], b"... (72 more bytes)"].concat());
        assert_eq!(short[31], b"... (9 more arguments)");
    }

    #[test]
    fn the_newest_are_kept() {
        let log = SlowLog::default();
        for micros in 0..5 {
            let (words, address, name) = (Vec::new(), String::new(), Vec::new());
            log.add(SlowCommand { id: 0, at: 0, micros, words, address, name }, 3);
        }
        let ids: Vec<_> = log.newest(2).iter().map(|entry| (entry.id, entry.micros)).collect();
        assert_eq!((ids, log.len()), (vec![(4, 4), (3, 3)], 3));
        log.clear();
        assert_eq!(log.len(), 0);
    }
}
