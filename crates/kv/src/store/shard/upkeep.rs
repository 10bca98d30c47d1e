//! What a [`Shard`] does between commands: expiry, eviction, flushing, giving memory back, and its accounts.

use crate::store::Millis;
use crate::store::eviction::Policy;
use crate::store::expiry::Step;
use crate::store::shard::garbage::Content;
use crate::store::shard::{Counters, EntryId, Shard};

impl Shard {
    /// Bytes that the data takes, counted as the allocator serves them, with all bookkeeping. Left out is what is free
    /// between entries ([`Shard::slack`]), and what waits to be dropped.
    #[inline]
    pub fn used(&self) -> usize {
        self.entries.bytes()
            + self.deadlines.bytes()
            + self.heap
            + self.index
            + self.watched.bytes()
            + self.order.bytes()
    }

    /// Bytes allocated for entries that are not there; used before more is allocated, given back by [`Shard::shrink`].
    pub fn slack(&self) -> usize {
        self.entries.slack() + self.deadlines.slack()
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Counts from 0 again.
    pub fn reset_counters(&mut self) {
        self.counters = Counters::default();
    }

    /// Expired entries stay, though none is seen: a replica leaves it to its primary to remove them.
    pub fn set_keeps_expired(&mut self, keeps: bool) {
        self.keeps_expired = keeps;
    }

    /// Remembers, from now on or no longer, the keys that expire or are evicted, for [`Shard::take_removed`].
    pub fn log_removals(&mut self, log: bool) {
        self.logs_removals = log;
        if !log {
            self.removed = Vec::new();
        }
    }

    /// The keys that expired or were evicted since the last time, with their databases, in that order.
    pub fn take_removed(&mut self) -> Vec<(u8, Vec<u8>)> {
        std::mem::take(&mut self.removed)
    }

    /// Removes entries whose time was over before this quarter of a second, in at most `most` steps; how many steps it
    /// took. If fewer than `most`, nothing more is due.
    pub fn expire_some(&mut self, now: Millis, most: usize) -> usize {
        if self.keeps_expired {
            return 0;
        }
        for steps in 0..most {
            match self.deadlines.step(now) {
                Some(Step::Due(id)) => self.expire(id),
                Some(Step::Closer) => {}
                None => return steps,
            }
        }
        most
    }

    /// The policy in force.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// Evicts by another policy from now on. All entries are put in its order, oldest number first: for a million of them
    /// that takes some milliseconds.
    pub fn set_policy(&mut self, policy: Policy) {
        if policy == self.policy {
            return;
        }
        self.policy = policy;
        self.order = policy.order();
        for number in 0..self.entries.bound() {
            let Some(entry) = self.entries.get_mut(number) else { continue };
            entry.queue = 0;
            if entry.expires() || !policy.is_volatile() {
                self.order.add(&mut self.entries, number);
            }
        }
    }

    /// Removes one entry, by the policy. The bytes that frees; `None` if nothing may go.
    pub fn evict(&mut self, rng: &mut fastrand::Rng, now: Millis) -> Option<usize> {
        let before = self.used();
        let id = self.order.victim(&mut self.entries, &self.deadlines, rng, now)?;
        self.counters.evicted += 1;
        self.log_removal(id);
        self.discard(EntryId(id));
        Some(before.saturating_sub(self.used()))
    }

    /// Gives memory back after many entries went: moves up to `most` entries closer together if much is free between
    /// them. How many were moved; 0 when there is nothing to gain.
    pub fn shrink(&mut self, most: usize) -> usize {
        // A snapshot would miss what moves from behind it to before it.
        if self.snapshot.is_some() {
            return 0;
        }
        let mut moved = 0;
        while moved < most && self.entries.is_sparse() {
            let Some((old, new)) = self.entries.move_last() else { break };
            self.renumbered(old, new);
            moved += 1;
        }
        while moved < most
            && let Some((id, deadline)) = self.deadlines.compact()
        {
            if let Some(entry) = self.entries.get_mut(id) {
                entry.deadline = deadline;
            }
            moved += 1;
        }
        moved
    }

    /// Deletes all keys of a database, or of all. At once, unless other databases have keys in this shard as well: then it
    /// takes about 100 ns for each key.
    pub(in crate::store) fn flush(&mut self, db: Option<u8>) {
        self.watched
            .mark_where(|at, key, hash| db.is_none_or(|db| db == at) && self.lookup(at, key, hash).is_some());
        match db.filter(|&db| self.len(db) < self.entries.len()) {
            Some(db) => self.flush_one(db),
            None => self.flush_all(),
        }
    }

    /// Exchanges the keys of two databases; takes some 10 ns for each.
    pub(in crate::store) fn swap_databases(&mut self, one: u8, other: u8) {
        self.watched.mark_where(|at, key, hash| {
            (at == one || at == other)
                && (self.lookup(one, key, hash).is_some() || self.lookup(other, key, hash).is_some())
        });
        let (ones, others) = (self.numbers(one), self.numbers(other));
        for (numbers, db) in [(ones, other), (others, one)] {
            for id in numbers {
                self.preserve(id);
                if let Some(entry) = self.entries.get_mut(id) {
                    entry.db = db;
                }
            }
        }
        if let Ok([one, other]) = self.tables.get_disjoint_mut([usize::from(one), usize::from(other)]) {
            std::mem::swap(one, other);
        }
        if let Ok([one, other]) = self.volatile.get_disjoint_mut([usize::from(one), usize::from(other)]) {
            std::mem::swap(one, other);
        }
    }

    /// Removes an entry whose time is over.
    pub(super) fn expire(&mut self, id: u32) {
        self.counters.expired += 1;
        self.log_removal(id);
        self.discard(EntryId(id));
    }

    fn log_removal(&mut self, id: u32) {
        if self.logs_removals
            && let Some(entry) = self.entries.get(id)
        {
            self.removed.push((entry.db, entry.key.as_bytes().to_vec()));
        }
    }

    fn flush_all(&mut self) {
        let (entries, deadlines) = (std::mem::take(&mut self.entries), std::mem::take(&mut self.deadlines));
        match &mut self.snapshot {
            Some(snapshot) => snapshot.push_flushed(entries, deadlines),
            None => self.garbage.push(Content::All(entries, deadlines).into()),
        }
        let order = std::mem::replace(&mut self.order, self.policy.order());
        self.garbage.push(Content::Order(order).into());
        for table in &mut self.tables {
            self.garbage.push(Content::Table(std::mem::take(table)).into());
        }
        self.volatile.fill(0);
        self.heap = 0;
        self.index = 0;
    }

    fn flush_one(&mut self, db: u8) {
        let mut gone = Vec::new();
        for id in self.numbers(db) {
            if let Some((entry, expires)) = self.take_out(id) {
                gone.extend(self.preserve_taken(entry, expires));
            }
        }
        self.garbage.push(Content::Entries(gone).into());
    }

    /// All entries of a database.
    fn numbers(&self, db: u8) -> Vec<u32> {
        let mut numbers = Vec::with_capacity(self.len(db));
        if let Some(table) = self.tables.get(usize::from(db)) {
            table.walk(0, |id| {
                numbers.push(id);
                true
            });
        }
        numbers
    }

    /// An entry stands in another place: tells all who refer to it.
    fn renumbered(&mut self, old: u32, new: u32) {
        let Some(entry) = self.entries.get(new) else { return };
        if let Some(table) = self.tables.get_mut(usize::from(entry.db)) {
            table.renumber(entry.hash, old, new);
        }
        self.deadlines.renumber(entry.deadline, new);
        if self.may_go(entry) {
            self.order.moved(&mut self.entries, old, new);
        }
    }
}
