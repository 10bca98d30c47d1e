//! `cargo xtask tidy`: keeps true what a machine can keep true. Every problem is told, not only the first.

mod crates;
mod dependencies;
mod documents;
mod sources;

use crate::workspace::{Workspace, root};

/// Checks the tree; all problems as one text when there are any.
pub(crate) fn run() -> Result<(), String> {
    let problems = problems()?;
    if problems.is_empty() {
        println!("tidy");
        return Ok(());
    }
    Err(format!("{}\n\n{} to put right", problems.join("\n"), problems.len()))
}

fn problems() -> Result<Vec<String>, String> {
    let (workspace, root) = (Workspace::load()?, root());
    let checks = [
        crates::problems(&workspace, &root),
        dependencies::problems(&workspace, &root),
        documents::problems(&workspace, &root),
        sources::problems(&root),
    ];
    // A file that cannot be read is a problem like any other.
    Ok(checks.into_iter().flat_map(|check| check.unwrap_or_else(|problem| vec![problem])).collect())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_tree_is_tidy() {
        super::run().unwrap_or_else(|problems| panic!("\n{problems}\n"));
    }
}
