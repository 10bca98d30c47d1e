//! [`Order`]: members of a large sorted set in their order, with ranks: a B+ tree that counts what is below each node.
//!
//! Nodes are small and of a fixed size, so that no insertion or removal moves more than a few kilobytes however large
//! the set is, and the memory taken is their number times that size.

mod entries;

use std::ops::Range;

use crate::store::memory::allocation;

pub(super) use entries::Entries;

/// Entries in a leaf, and nodes below a branch, at most.
const LEAF: usize = 128;
const BRANCH: usize = 64;

/// One member in its place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) score: f64,
    /// The member's first four bytes as a number, missing ones zero: decides most ties without a look at the member.
    pub(super) prefix: u32,
    /// Where the member is kept.
    pub(super) id: u32,
}

/// Entries in an order that the callers know: they pass whether an entry is before the place they mean, which must be so
/// for the entries up to some rank and for none behind.
#[derive(Clone, Debug)]
pub(super) struct Order {
    root: Node,
    len: usize,
    nodes: Nodes,
}

/// How many nodes there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Nodes {
    leaves: usize,
    branches: usize,
}

impl Nodes {
    fn lose(&mut self, node: &Node) {
        match node {
            Node::Leaf(_) => self.leaves -= 1,
            Node::Branch(_) => self.branches -= 1,
        }
    }
}

#[derive(Debug)]
enum Node {
    Leaf(Vec<Entry>),
    /// At least one child, all of the same height.
    Branch(Vec<Child>),
}

#[derive(Debug)]
struct Child {
    /// The first entry below.
    first: Entry,
    /// Entries below.
    count: usize,
    node: Node,
}

impl Order {
    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes allocated.
    pub(super) fn heap(&self) -> usize {
        self.nodes.leaves * allocation(LEAF * size_of::<Entry>())
            + self.nodes.branches * allocation(BRANCH * size_of::<Child>())
    }

    /// The number of entries before a place.
    pub(super) fn rank(&self, before: impl Fn(&Entry) -> bool) -> usize {
        let (mut node, mut rank) = (&self.root, 0);
        loop {
            match node {
                Node::Leaf(entries) => return rank + entries.partition_point(&before),
                Node::Branch(children) => {
                    let at = child_before(children, &before);
                    rank += children.iter().take(at).map(|child| child.count).sum::<usize>();
                    match children.get(at) {
                        Some(child) => node = &child.node,
                        None => return rank,
                    }
                }
            }
        }
    }

    /// The entries at `ranks`, those beyond the end left out.
    pub(super) fn range(&self, ranks: Range<usize>) -> Entries<'_> {
        let end = ranks.end.min(self.len);
        Entries::new(self, ranks.start.min(end)..end)
    }

    /// Inserts an entry at the place that `before` tells.
    pub(super) fn insert(&mut self, entry: Entry, before: impl Fn(&Entry) -> bool) {
        self.len += 1;
        let Some(right) = self.root.insert(entry, &before, true, &mut self.nodes) else { return };
        let left = std::mem::replace(&mut self.root, Node::Branch(Vec::with_capacity(BRANCH)));
        self.nodes.branches += 1;
        if let Node::Branch(children) = &mut self.root {
            children.extend([left, right].into_iter().filter_map(Child::new));
        }
    }

    /// Takes the entry at `rank` out.
    pub(super) fn remove(&mut self, rank: usize) -> Option<Entry> {
        let entry = self.root.remove(rank, &mut self.nodes)?;
        self.len -= 1;
        while let Node::Branch(children) = &mut self.root {
            if children.len() > 1 {
                break;
            }
            self.nodes.branches -= 1;
            self.root = children.pop().map_or_else(
                || {
                    self.nodes.leaves += 1;
                    Node::default()
                },
                |child| child.node,
            );
        }
        Some(entry)
    }

    /// Says that the member at `rank` is kept elsewhere from now on.
    pub(super) fn relocate(&mut self, rank: usize, id: u32) {
        self.root.relocate(rank, id);
    }

    /// The leaf that has the entry at `rank`, and the rank of its first entry.
    fn leaf(&self, rank: usize) -> (&[Entry], usize) {
        let (mut node, mut within) = (&self.root, rank);
        loop {
            match node {
                Node::Leaf(entries) => return (entries, rank - within),
                Node::Branch(children) => {
                    let (at, below) = child_at(children, within);
                    within = below;
                    match children.get(at) {
                        Some(child) => node = &child.node,
                        None => return (&[], rank),
                    }
                }
            }
        }
    }

    /// The same, found by looking at every node.
    #[cfg(test)]
    pub(super) fn recount(&self) -> usize {
        let mut found = Nodes { leaves: 0, branches: 0 };
        let (_, count) = self.root.recount(&mut found);
        assert_eq!(found, self.nodes);
        assert_eq!(count, self.len);
        self.heap()
    }
}

impl Default for Order {
    fn default() -> Self {
        Self { root: Node::default(), len: 0, nodes: Nodes { leaves: 1, branches: 0 } }
    }
}

/// The last child whose first entry is before the place, else the first.
fn child_before(children: &[Child], before: impl Fn(&Entry) -> bool) -> usize {
    children.partition_point(|child| before(&child.first)).saturating_sub(1)
}

/// The child that has the entry at `rank`, and its rank there.
fn child_at(children: &[Child], mut rank: usize) -> (usize, usize) {
    let at = children.iter().take_while(|child| {
        let beyond = rank >= child.count;
        if beyond {
            rank -= child.count;
        }
        beyond
    });
    (at.count(), rank)
}

/// Inserts `item` into a node that has at most `most`, and returns the right-hand part if it had to be split. At the
/// `edge` of the tree the node stays whole, so that what comes in order leaves full nodes behind.
fn insert<T>(items: &mut Vec<T>, at: usize, item: T, most: usize, edge: bool) -> Option<Vec<T>> {
    if items.len() < most {
        items.insert(at, item);
        return None;
    }
    let mut right = Vec::with_capacity(most);
    if edge && at == most {
        right.push(item);
    } else if edge && at == 0 {
        right.append(items);
        items.push(item);
    } else {
        let cut = most / 2;
        right.extend(items.drain(cut..));
        match at.checked_sub(cut) {
            Some(at) if at > 0 => right.insert(at, item),
            _ => items.insert(at, item),
        }
    }
    Some(right)
}

impl Node {
    fn insert(
        &mut self,
        entry: Entry,
        before: &impl Fn(&Entry) -> bool,
        last: bool,
        nodes: &mut Nodes,
    ) -> Option<Self> {
        match self {
            Self::Leaf(entries) => {
                let at = entries.partition_point(before);
                // Before the first entry of a leaf is only before all.
                let right = insert(entries, at, entry, LEAF, last || at == 0)?;
                nodes.leaves += 1;
                Some(Self::Leaf(right))
            }
            Self::Branch(children) => {
                let at = child_before(children, before);
                let last = last && at + 1 == children.len();
                let child = children.get_mut(at)?;
                let Some(right) = child.node.insert(entry, before, last, nodes) else {
                    child.grew(1);
                    return None;
                };
                child.recount();
                let right = insert(children, at + 1, Child::new(right)?, BRANCH, last)?;
                nodes.branches += 1;
                Some(Self::Branch(right))
            }
        }
    }

    fn remove(&mut self, rank: usize, nodes: &mut Nodes) -> Option<Entry> {
        match self {
            Self::Leaf(entries) => (rank < entries.len()).then(|| entries.remove(rank)),
            Self::Branch(children) => {
                let (at, rank) = child_at(children, rank);
                let child = children.get_mut(at)?;
                let entry = child.node.remove(rank, nodes)?;
                child.grew(-1);
                let fill = child.node.fill();
                if fill == 0 {
                    nodes.lose(&children.remove(at).node);
                } else if fill <= child.node.most() / 4 && !merge(children, at, nodes) && at > 0 {
                    merge(children, at - 1, nodes);
                }
                Some(entry)
            }
        }
    }

    fn relocate(&mut self, rank: usize, id: u32) {
        match self {
            Self::Leaf(entries) => entries.get_mut(rank).into_iter().for_each(|entry| entry.id = id),
            Self::Branch(children) => {
                let (at, within) = child_at(children, rank);
                if let Some(child) = children.get_mut(at) {
                    child.node.relocate(within, id);
                    if within == 0 {
                        child.first.id = id;
                    }
                }
            }
        }
    }

    fn first(&self) -> Option<Entry> {
        match self {
            Self::Leaf(entries) => entries.first().copied(),
            Self::Branch(children) => children.first().map(|child| child.first),
        }
    }

    fn count(&self) -> usize {
        match self {
            Self::Leaf(entries) => entries.len(),
            Self::Branch(children) => children.iter().map(|child| child.count).sum(),
        }
    }

    /// Entries or children in the node itself.
    fn fill(&self) -> usize {
        match self {
            Self::Leaf(entries) => entries.len(),
            Self::Branch(children) => children.len(),
        }
    }

    /// How many there may be.
    fn most(&self) -> usize {
        match self {
            Self::Leaf(_) => LEAF,
            Self::Branch(_) => BRANCH,
        }
    }

    #[cfg(test)]
    fn recount(&self, found: &mut Nodes) -> (usize, usize) {
        match self {
            Self::Leaf(entries) => {
                assert_eq!(entries.capacity(), LEAF);
                found.leaves += 1;
                (1, entries.len())
            }
            Self::Branch(children) => {
                assert_eq!(children.capacity(), BRANCH);
                found.branches += 1;
                let below: Vec<_> = children.iter().map(|child| child.node.recount(found)).collect();
                for (child, (_, count)) in children.iter().zip(&below) {
                    assert_eq!((child.count, Some(child.first)), (*count, child.node.first()));
                }
                assert!(below.windows(2).all(|pair| pair[0].0 == pair[1].0), "as high everywhere");
                (below[0].0 + 1, below.iter().map(|(_, count)| count).sum())
            }
        }
    }
}

/// Makes one of the children at `at` and behind it, if that leaves room for more.
fn merge(children: &mut Vec<Child>, at: usize, nodes: &mut Nodes) -> bool {
    let fits = match children.get(at..at + 2) {
        Some([left, right]) => left.node.fill() + right.node.fill() <= left.node.most() / 2,
        _ => false,
    };
    if !fits {
        return false;
    }
    let right = children.remove(at + 1);
    let Some(left) = children.get_mut(at) else { return false };
    nodes.lose(&right.node);
    match (&mut left.node, right.node) {
        (Node::Leaf(left), Node::Leaf(mut right)) => left.append(&mut right),
        (Node::Branch(left), Node::Branch(mut right)) => left.append(&mut right),
        // All children are of the same height.
        _ => {}
    }
    left.recount();
    true
}

impl Default for Node {
    fn default() -> Self {
        Self::Leaf(Vec::with_capacity(LEAF))
    }
}

impl Clone for Node {
    fn clone(&self) -> Self {
        // A vector's own clone would have no room to grow, and not the size that is accounted.
        match self {
            Self::Leaf(entries) => {
                let mut copy = Vec::with_capacity(LEAF);
                copy.extend_from_slice(entries);
                Self::Leaf(copy)
            }
            Self::Branch(children) => {
                let mut copy = Vec::with_capacity(BRANCH);
                copy.extend(children.iter().map(|child| Child { node: child.node.clone(), ..*child }));
                Self::Branch(copy)
            }
        }
    }
}

impl Child {
    /// `None` without any entry below.
    fn new(node: Node) -> Option<Self> {
        Some(Self { first: node.first()?, count: node.count(), node })
    }

    /// Takes up that entries came in or went below.
    fn grew(&mut self, entries: isize) {
        self.count = self.count.saturating_add_signed(entries);
        if let Some(first) = self.node.first() {
            self.first = first;
        }
    }

    /// Takes up any change below.
    fn recount(&mut self) {
        self.count = self.node.count();
        self.grew(0);
    }
}
