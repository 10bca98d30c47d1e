//! x
use crate::command::Spec;
pub(super) const COMMANDS: &[Spec] = &[];
