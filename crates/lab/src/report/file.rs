//! The files of a report: a page and its data, each of them whole or not there.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{fs, io, process};

use serde::Serialize;

use super::{Report, html};

/// Of the JSON's layout; grows when a reader of the older one would be misled.
const SCHEMA: u32 = 1;

/// A report as JSON.
#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    kept: bool,
    #[serde(flatten)]
    report: &'a Report,
}

impl Report {
    /// Writes `NAME.html` and `NAME.json` into `directory`, which is made if need be; says where they are.
    ///
    /// # Errors
    /// They cannot be written; the sentence names the file.
    pub fn write(&self, directory: &Path) -> io::Result<[PathBuf; 2]> {
        let data = directory.join(format!("{}.json", self.name));
        let page = directory.join(format!("{}.html", self.name));
        put(&data, &self.json()?)?;
        put(&page, &html::page(self))?;
        Ok([page, data])
    }

    /// The whole report as JSON with the layout's number, `schema`, and whether all promises were `kept`. A value that
    /// is not finite is null.
    fn json(&self) -> io::Result<String> {
        let document = Document { schema: SCHEMA, kept: self.is_kept(), report: self };
        let mut text = serde_json::to_string_pretty(&document)?;
        text.push('\n');
        Ok(text)
    }
}

/// Makes the directory for reports and tries to write there, so that it is known before an experiment takes its time.
///
/// # Errors
/// Nothing can be written there; the sentence says what to do.
pub fn prepare(directory: &Path) -> io::Result<()> {
    if directory.exists() && !directory.is_dir() {
        let reason = format!("{} is not a directory; choose another with --out", directory.display());
        return Err(io::Error::new(io::ErrorKind::NotADirectory, reason));
    }
    let probe = directory.join(format!("probe.{}", process::id()));
    put(&probe, "")?;
    fs::remove_file(probe)
}

/// Writes a file through a temporary one beside it, and makes the directory.
pub(super) fn put(path: &Path, text: &str) -> io::Result<()> {
    let wrong = |error: io::Error| {
        let reason = format!(
            "{} cannot be written: {error}; choose a directory that can be written to with --out",
            path.display()
        );
        io::Error::new(error.kind(), reason)
    };
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(wrong)?;
    }
    let temporary = path.with_extension(format!("{}.new", process::id()));
    let written = fs::File::create(&temporary)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, path));
    written.map_err(|error| {
        // What remains of it is of no use; that it is not there is as good.
        let _ = fs::remove_file(&temporary);
        wrong(error)
    })
}
