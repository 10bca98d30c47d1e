//! [`Session`]: what a connection has told the server about itself, and what it has begun.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use crate::command::Spec;
use crate::resp::Protocol;
use crate::server::clients::{Client, Mark};
use crate::server::execute::Held;
use crate::server::pubsub::Topic;
use crate::server::shared::Shared;
use crate::server::words::Words;

/// One connection's state, apart from its bytes.
#[derive(Debug)]
pub(crate) struct Session {
    /// The same for others to see.
    pub(crate) client: Arc<Client>,
    pub(crate) db: u8,
    pub(crate) protocol: Protocol,
    /// It has shown the password, or none was asked for.
    pub(crate) is_authenticated: bool,
    pub(crate) transaction: Option<Box<Transaction>>,
    pub(crate) watching: Option<Box<Watching>>,
    pub(crate) subscriptions: Option<Box<Subscriptions>>,
    pub(crate) replies: Replies,
    pub(crate) replica: AsReplica,
}

/// What a client tells of itself that is going to be a replica: `REPLCONF`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AsReplica {
    /// Where it listens.
    pub(crate) port: u16,
    /// It can receive a snapshot whose length is not known before.
    pub(crate) eof: bool,
}

/// What `MULTI` began.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    pub(crate) queued: Vec<Queued>,
    /// What they take, in bytes.
    pub(crate) bytes: usize,
    /// A command could not be queued: nothing will be carried out.
    pub(crate) is_spoiled: bool,
}

/// One command between `MULTI` and `EXEC`.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) number: u16,
    pub(crate) spec: &'static Spec,
    pub(crate) words: Words,
}

/// What `WATCH` watches.
#[derive(Debug, Default)]
pub(crate) struct Watching {
    /// One of the keys has changed.
    pub(crate) changed: Arc<AtomicBool>,
    /// Database, key, and whether it existed.
    pub(crate) keys: Vec<(u8, Vec<u8>, bool)>,
}

/// Channels and patterns the client hears of.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    pub(crate) channels: HashSet<Vec<u8>>,
    pub(crate) patterns: HashSet<Vec<u8>>,
}

/// `CLIENT REPLY`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Replies {
    /// All.
    #[default]
    On,
    /// None.
    Off,
    /// None for this command, which asked for the next one to be skipped.
    SkipNext,
    /// None for this command.
    Skip,
}

impl Subscriptions {
    /// The names of one kind.
    pub(crate) fn of(&mut self, topic: Topic) -> &mut HashSet<Vec<u8>> {
        match topic {
            Topic::Channel => &mut self.channels,
            Topic::Pattern => &mut self.patterns,
        }
    }

    /// How many there are of both kinds.
    pub(crate) fn count(&self) -> usize {
        self.channels.len() + self.patterns.len()
    }
}

impl Session {
    /// Of a client that has just connected.
    pub(crate) fn new(client: Arc<Client>, is_authenticated: bool) -> Self {
        Self {
            client,
            db: 0,
            protocol: Protocol::Resp2,
            is_authenticated,
            transaction: None,
            watching: None,
            subscriptions: None,
            replies: Replies::On,
            replica: AsReplica::default(),
        }
    }

    /// Changes the database.
    pub(crate) fn select(&mut self, db: u8) {
        self.db = db;
        self.client.db.store(db, Relaxed);
    }

    /// Changes the version of the protocol.
    pub(crate) fn speak(&mut self, protocol: Protocol) {
        self.protocol = protocol;
        self.client.speaks(protocol);
    }

    /// Whether only commands about subscriptions are allowed.
    pub(crate) fn is_subscriber_only(&self) -> bool {
        self.subscriptions.is_some() && self.protocol == Protocol::Resp2
    }

    /// Begins or ends a transaction.
    pub(crate) fn set_transaction(&mut self, transaction: Option<Box<Transaction>>) {
        self.client.set(Mark::Multi, transaction.is_some());
        self.client.queued.store(0, Relaxed);
        self.transaction = transaction;
    }

    /// A command could not be queued.
    pub(crate) fn spoil(&mut self) {
        if let Some(transaction) = &mut self.transaction {
            transaction.is_spoiled = true;
        }
    }

    /// Others are told how many subscriptions there are.
    pub(crate) fn show_subscriptions(&mut self) {
        let counts = self.subscriptions.as_ref().map(|all| (all.channels.len(), all.patterns.len()));
        let (channels, patterns) = counts.unwrap_or_default();
        self.client.channels.store(channels as u32, Relaxed);
        self.client.patterns.store(patterns as u32, Relaxed);
        if channels + patterns == 0 {
            self.subscriptions = None;
        }
        self.client.set(Mark::Subscribed, self.subscriptions.is_some());
    }

    /// Ends all subscriptions.
    pub(crate) fn unsubscribe_all(&mut self, shared: &Shared) {
        let Some(subscriptions) = self.subscriptions.take() else { return };
        for channel in &subscriptions.channels {
            shared.pubsub.unsubscribe(Topic::Channel, channel, &self.client);
        }
        for pattern in &subscriptions.patterns {
            shared.pubsub.unsubscribe(Topic::Pattern, pattern, &self.client);
        }
        self.show_subscriptions();
    }

    /// Watches nothing any more.
    pub(crate) fn unwatch(&mut self, shared: &Shared) {
        let Some(watching) = self.watching.take() else { return };
        for (db, key, _) in &watching.keys {
            let mut held = Held::new(shared.store.hold_key(*db, key, 0));
            held.keys.unwatch(key, &watching.changed);
            shared.memory.change(held.settle(shared, |_| ()));
        }
    }

    /// The client is gone: nothing of it stays.
    pub(crate) fn end(&mut self, shared: &Shared) {
        self.unsubscribe_all(shared);
        self.unwatch(shared);
        if let Some(waiter) = self.client.waiter() {
            waiter.abandon();
            shared.blocking.leave(&waiter);
            self.client.wait_by(None);
        }
    }
}
