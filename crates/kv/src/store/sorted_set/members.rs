//! [`Members`]: the members of a large sorted set with their scores, each under a number, found by their bytes.
//!
//! Numbers are dense: when a member goes, the last takes its number. So any of them is as easily drawn as another, a
//! scan goes through the numbers, and there are no holes that take memory.

use std::hash::{BuildHasher, RandomState};

use crate::store::Text;
use crate::store::dense::Dense;
use crate::store::index::Index;

/// Members with their scores.
#[derive(Clone, Debug, Default)]
pub(super) struct Members {
    members: Dense<Member>,
    index: Index,
    /// Bytes allocated for members too long for their place.
    texts: usize,
    hasher: RandomState,
}

/// A member.
#[derive(Clone, Debug)]
pub(super) struct Member {
    text: Text,
    pub(super) score: f64,
}

impl Member {
    /// Its bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

impl Members {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// Bytes allocated.
    pub(super) fn heap(&self) -> usize {
        self.members.heap() + self.index.heap() + self.texts
    }

    /// By what a member is found; depends on nothing but its bytes, and on chance for each set.
    pub(super) fn hash(&self, member: &[u8]) -> u32 {
        self.hasher.hash_one(member) as u32
    }

    /// The number of a member.
    pub(super) fn find(&self, hash: u32, member: &[u8]) -> Option<u32> {
        self.index.find(hash, |id| self.get(id).is_some_and(|other| other.bytes() == member))
    }

    /// The member with a number.
    pub(super) fn get(&self, id: u32) -> Option<&Member> {
        self.members.get(id as usize)
    }

    /// The same, to change its score.
    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut Member> {
        self.members.get_mut(id as usize)
    }

    /// A member that is not there yet; its number.
    pub(super) fn push(&mut self, hash: u32, member: &[u8], score: f64) -> u32 {
        let id = self.len() as u32;
        let text = Text::new(member);
        self.texts += text.heap();
        self.members.push(Member { text, score });
        self.index.insert(hash, id);
        id
    }

    /// Takes a member out. Whether another has its number now: that which was the last.
    pub(super) fn remove(&mut self, id: u32) -> bool {
        let Some(gone) = self.members.swap_remove(id as usize) else { return false };
        self.texts -= gone.text.heap();
        self.index.remove(self.hash(gone.bytes()), id);
        let from = self.len() as u32;
        let moved = self.get(id).map(|member| self.hash(member.bytes()));
        if let Some(hash) = moved {
            self.index.renumber(hash, from, id);
        }
        moved.is_some()
    }

    /// The heap, looked up at every member.
    #[cfg(test)]
    pub(super) fn recount(&self) -> usize {
        assert_eq!(self.texts, self.members.iter().map(|member| member.text.heap()).sum::<usize>());
        self.members.recount() + self.index.recount() + self.texts
    }
}
