//! [`Client`] and [`Clients`]: what is known of every connection, for `CLIENT LIST` and those who want to reach one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::resp::Protocol;
use crate::server::blocking::Waiter;
use crate::server::lookup::Table;
use crate::server::mailbox::Mailbox;
use crate::store::Millis;

/// One connection, as others see it. Written by the connection alone, but for the mailbox.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) id: u64,
    pub(crate) address: SocketAddr,
    pub(crate) local: SocketAddr,
    pub(crate) descriptor: i32,
    pub(crate) since: Millis,
    /// When it last asked for something.
    pub(crate) active: AtomicU64,
    /// The number of the last command; beyond the table before the first.
    pub(crate) command: AtomicU16,
    pub(crate) db: AtomicU8,
    /// 2 or 3.
    protocol: AtomicU8,
    marks: AtomicU32,
    pub(crate) channels: AtomicU32,
    pub(crate) patterns: AtomicU32,
    /// Commands between `MULTI` and `EXEC`.
    pub(crate) queued: AtomicU32,
    /// Bytes received and not executed.
    pub(crate) input: AtomicUsize,
    /// Bytes answered and not taken by the client.
    pub(crate) unsent: AtomicUsize,
    names: Mutex<Names>,
    /// What it is blocked by.
    waiter: Mutex<Option<Arc<Waiter>>>,
    pub(crate) mailbox: Mailbox,
}

/// What a client says about itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    /// `CLIENT SETNAME`
    pub(crate) name: Vec<u8>,
    /// `CLIENT SETINFO LIB-NAME`
    pub(crate) library: Vec<u8>,
    /// `CLIENT SETINFO LIB-VER`
    pub(crate) version: Vec<u8>,
}

/// Something that holds for a client or does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Mark {
    /// It waits for a key.
    Blocked = 1,
    /// Between `MULTI` and `EXEC`.
    Multi = 1 << 1,
    /// A watched key has changed.
    Dirty = 1 << 2,
    /// It has subscriptions.
    Subscribed = 1 << 3,
    /// It is a replica.
    Replica = 1 << 4,
    /// It is the primary that we replicate.
    Primary = 1 << 5,
    /// `CLIENT NO-EVICT`
    NoEvict = 1 << 6,
    /// `CLIENT NO-TOUCH`
    NoTouch = 1 << 7,
}

impl Client {
    /// A client that has just connected.
    pub(crate) fn new(id: u64, address: SocketAddr, local: SocketAddr, descriptor: i32, now: Millis) -> Self {
        Self {
            id,
            address,
            local,
            descriptor,
            since: now,
            active: AtomicU64::new(now),
            command: AtomicU16::new(u16::MAX),
            db: AtomicU8::new(0),
            protocol: AtomicU8::new(2),
            marks: AtomicU32::new(0),
            channels: AtomicU32::new(0),
            patterns: AtomicU32::new(0),
            queued: AtomicU32::new(0),
            input: AtomicUsize::new(0),
            unsent: AtomicUsize::new(0),
            names: Mutex::default(),
            waiter: Mutex::default(),
            mailbox: Mailbox::default(),
        }
    }

    /// Which version it speaks.
    pub(crate) fn protocol(&self) -> Protocol {
        if self.protocol.load(Relaxed) == 3 { Protocol::Resp3 } else { Protocol::Resp2 }
    }

    /// It has chosen another version.
    pub(crate) fn speaks(&self, protocol: Protocol) {
        self.protocol.store(if protocol == Protocol::Resp3 { 3 } else { 2 }, Relaxed);
    }

    /// Whether that holds.
    pub(crate) fn is(&self, mark: Mark) -> bool {
        self.marks.load(Relaxed) & mark as u32 != 0
    }

    /// It holds from now on, or not any more.
    pub(crate) fn set(&self, mark: Mark, holds: bool) {
        match holds {
            true => self.marks.fetch_or(mark as u32, Relaxed),
            false => self.marks.fetch_and(!(mark as u32), Relaxed),
        };
    }

    /// What it calls itself.
    pub(crate) fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It waits, or not any more.
    pub(crate) fn wait_by(&self, waiter: Option<Arc<Waiter>>) {
        self.set(Mark::Blocked, waiter.is_some());
        *self.waiter.lock().unwrap_or_else(PoisonError::into_inner) = waiter;
    }

    /// What it is blocked by.
    pub(crate) fn waiter(&self) -> Option<Arc<Waiter>> {
        self.waiter.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// `normal`, `replica`, `pubsub` or `master`, as in `CLIENT LIST TYPE`.
    pub(crate) fn kind(&self) -> Kind {
        if self.is(Mark::Replica) {
            Kind::Replica
        } else if self.is(Mark::Primary) {
            Kind::Primary
        } else if self.is(Mark::Subscribed) {
            Kind::Pubsub
        } else {
            Kind::Normal
        }
    }

    /// The line of `CLIENT LIST`, without a line end.
    pub(crate) fn line(&self, now: Millis) -> String {
        let mut flags = String::new();
        for (mark, letter) in [
            (Mark::Replica, 'S'),
            (Mark::Primary, 'M'),
            (Mark::Subscribed, 'P'),
            (Mark::Multi, 'x'),
            (Mark::Blocked, 'b'),
            (Mark::Dirty, 'd'),
            (Mark::NoEvict, 'e'),
            (Mark::NoTouch, 'T'),
        ] {
            if self.is(mark) {
                flags.push(letter);
            }
        }
        if self.mailbox.is_closing() {
            flags.push('A');
        }
        if flags.is_empty() {
            flags.push('N');
        }
        let names = self.names().clone();
        let table = Table::of_all();
        let command = match table.name(self.command.load(Relaxed)) {
            "" => "NULL",
            name => name,
        };
        let queued = if self.is(Mark::Multi) { i64::from(self.queued.load(Relaxed)) } else { -1 };
        let (input, unsent) = (self.input.load(Relaxed), self.unsent.load(Relaxed));
        let (waiting, messages) = self.mailbox.waiting();
        format!(
            "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={flags} db={} sub={} psub={} ssub=0 \
             multi={queued} qbuf={input} qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl={unsent} \
             oll={messages} omem={waiting} tot-mem={} events={} cmd={command} user=default redir=-1 resp={} \
             lib-name={} lib-ver={}",
            self.id,
            self.address,
            self.local,
            self.descriptor,
            String::from_utf8_lossy(&names.name),
            now.saturating_sub(self.since) / 1000,
            now.saturating_sub(self.active.load(Relaxed)) / 1000,
            self.db.load(Relaxed),
            self.channels.load(Relaxed),
            self.patterns.load(Relaxed),
            input + unsent + waiting + size_of::<Self>(),
            if unsent > 0 { "rw" } else { "r" },
            self.protocol.load(Relaxed),
            String::from_utf8_lossy(&names.library),
            String::from_utf8_lossy(&names.version),
        )
    }
}

/// Classes of clients, as `CLIENT LIST TYPE` and the limits of output know them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Neither of the others.
    Normal,
    /// A replica of ours.
    Replica,
    /// Our primary.
    Primary,
    /// Somebody with subscriptions.
    Pubsub,
}

impl Kind {
    /// By its name.
    pub(crate) fn named(name: &[u8]) -> Option<Self> {
        let names: [(&[u8], Self); 5] = [
            (b"normal", Self::Normal),
            (b"replica", Self::Replica),
            (b"slave", Self::Replica),
            (b"master", Self::Primary),
            (b"pubsub", Self::Pubsub),
        ];
        names.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, kind)| *kind)
    }
}

/// All connections of the process.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    by_id: Mutex<BTreeMap<u64, Arc<Client>>>,
    last: AtomicU64,
    open: AtomicUsize,
}

impl Clients {
    /// The number of the next client.
    pub(crate) fn next_id(&self) -> u64 {
        self.last.fetch_add(1, Relaxed) + 1
    }

    /// Takes a place if fewer than `most` are taken; given back by [`Clients::leave`].
    pub(crate) fn enter(&self, most: usize) -> bool {
        self.open.fetch_update(Relaxed, Relaxed, |open| (open < most).then_some(open + 1)).is_ok()
    }

    /// Gives a place back.
    pub(crate) fn leave(&self) {
        self.open.fetch_sub(1, Relaxed);
    }

    /// Connections open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// Somebody is connected.
    pub(crate) fn add(&self, client: &Arc<Client>) {
        self.lock().insert(client.id, client.clone());
    }

    /// Somebody is gone.
    pub(crate) fn remove(&self, id: u64) {
        self.lock().remove(&id);
    }

    /// The client with that number.
    pub(crate) fn find(&self, id: u64) -> Option<Arc<Client>> {
        self.lock().get(&id).cloned()
    }

    /// All of them, in the order they came.
    pub(crate) fn all(&self) -> Vec<Arc<Client>> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Client>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
