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

/// Parameters whose values nobody is to read.
const SECRETS: [&str; 3] = ["requirepass", "masterauth", "masteruser"];

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

/// What of a command may be kept: nothing of `AUTH`, and of others no password. Cut short where there are many or long
/// words.
pub(crate) fn shown(name: &str, args: &Args<'_>) -> Option<Vec<Vec<u8>>> {
    let is_hidden = |at: usize| match name {
        // `HELLO version [AUTH user password] …`: the words up to two behind the last AUTH, in whatever order.
        "HELLO" => (at >= 1 && args.is(at - 1, "AUTH")) || (at >= 2 && args.is(at - 2, "AUTH")),
        "CONFIG" => {
            let is_value = args.is(1, "SET") && at >= 3 && at % 2 == 1;
            is_value && SECRETS.iter().any(|secret| args.is(at - 1, secret))
        }
        _ => false,
    };
    if name == "AUTH" {
        return None;
    }
    let mut words = shortened(args);
    for (at, word) in words.iter_mut().enumerate().filter(|(at, _)| is_hidden(*at)) {
        // The last may say how many more there are.
        if at < args.len().min(MOST_WORDS - 1) || args.len() <= MOST_WORDS {
            *word = b"(redacted)".to_vec();
        }
    }
    Some(words)
}

fn shortened(args: &Args<'_>) -> Vec<Vec<u8>> {
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
    fn secrets_are_not_kept() {
        let shown = |line: &str| {
            let words: Words = line.split(' ').map(str::as_bytes).collect();
            let name = line.split(' ').next().unwrap().to_uppercase();
            let kept = super::shown(&name, &words.args())?;
            Some(
                kept.iter()
                    .map(|word| String::from_utf8_lossy(word).into_owned())
                    .collect::<Vec<_>>()
                    .join(" "),
            )
        };
        assert_eq!(shown("AUTH user secret"), None);
        for (line, kept) in [
            ("hello 3 AUTH u secret SETNAME n", "hello 3 AUTH (redacted) (redacted) SETNAME n"),
            ("hello 3 SETNAME n auth u secret", "hello 3 SETNAME n auth (redacted) (redacted)"),
            ("CONFIG SET timeout 1 RequirePass secret", "CONFIG SET timeout 1 RequirePass (redacted)"),
            ("CONFIG set masterauth secret timeout 1", "CONFIG set masterauth (redacted) timeout 1"),
            ("CONFIG GET requirepass timeout", "CONFIG GET requirepass timeout"),
            ("SET requirepass value", "SET requirepass value"),
        ] {
            assert_eq!(shown(line).unwrap(), kept);
        }
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
