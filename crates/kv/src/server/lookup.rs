//! Finds a command by its name, faster than a general table does, and numbers the commands for their statistics.

use std::sync::OnceLock;

use crate::command::{self, Spec};

/// All commands, each with a number.
#[derive(Debug)]
pub(crate) struct Table {
    specs: Vec<&'static Spec>,
    /// In lower case, as messages and statistics name them.
    names: Vec<String>,
    /// Numbers of the commands whose name falls into each slot.
    slots: Vec<Vec<u16>>,
}

/// Several times as many as there are commands, so that most slots have one at most.
const SLOTS: usize = 1024;

impl Table {
    /// The table; the same for the whole process.
    pub(crate) fn of_all() -> &'static Self {
        static TABLE: OnceLock<Table> = OnceLock::new();
        TABLE.get_or_init(|| {
            let specs: Vec<&'static Spec> = command::all().collect();
            let mut slots = vec![Vec::new(); SLOTS];
            for (number, spec) in specs.iter().enumerate() {
                if let Some(slot) = slots.get_mut(slot(spec.name.as_bytes())) {
                    slot.push(number as u16);
                }
            }
            let names = specs.iter().map(|spec| spec.name.to_ascii_lowercase()).collect();
            Self { specs, names, slots }
        })
    }

    /// The command of that name, in whatever case, and its number.
    pub(crate) fn find(&self, name: &[u8]) -> Option<(u16, &'static Spec)> {
        self.slots.get(slot(name))?.iter().find_map(|number| {
            let spec = self.spec(*number)?;
            spec.name.as_bytes().eq_ignore_ascii_case(name).then_some((*number, spec))
        })
    }

    /// The command with that number.
    pub(crate) fn spec(&self, number: u16) -> Option<&'static Spec> {
        self.specs.get(usize::from(number)).copied()
    }

    /// The name in lower case of the command with that number.
    pub(crate) fn name(&self, number: u16) -> &str {
        self.names.get(usize::from(number)).map_or("", |name| name)
    }

    /// How many commands there are.
    pub(crate) fn len(&self) -> usize {
        self.specs.len()
    }

    /// All commands, in the order of their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &'static Spec> {
        self.specs.iter().copied()
    }
}

/// FNV-1a over the name without its case.
fn slot(name: &[u8]) -> usize {
    let mut hash = 0x811c_9dc5_u32;
    for byte in name.iter().take(24) {
        hash = (hash ^ u32::from(byte | 0x20)).wrapping_mul(0x0100_0193);
    }
    ((hash ^ hash >> 16) as usize) % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_found_in_any_case() {
        let table = Table::of_all();
        for (number, spec) in table.iter().enumerate() {
            for name in [spec.name.to_owned(), spec.name.to_lowercase()] {
                let (found, at) = table.find(name.as_bytes()).unwrap();
                assert_eq!((usize::from(found), at.name), (number, spec.name));
            }
            assert_eq!(table.name(number as u16), spec.name.to_lowercase());
        }
        assert!(table.find(b"").is_none());
        assert!(table.find(b"EVAL").is_none());
        assert!(table.find(&[b'g'; 1000]).is_none());
    }
}
