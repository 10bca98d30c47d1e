//! Commands on strings.

use crate::command::{Context, Flags, Keys, Spec};
use crate::error::Error;
use crate::resp::{Args, Reply};
use crate::store::{Edited, Text};

pub(super) const COMMANDS: &[Spec] = {
    const READ: Flags = Flags::READ.and(Flags::FAST);
    const WRITE: Flags = Flags::WRITE.and(Flags::GROWS).and(Flags::FAST);
    &[
        Spec::data("APPEND", 3, WRITE, Keys::FIRST, append),
        Spec::data("GET", 2, READ, Keys::FIRST, get),
    ]
};

fn append(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    let (key, tail) = (args.at(1), args.at(2));
    let longest = context.settings.longest_string;
    let length = context.keys.edit_or_new(key, |text: &mut Text| {
        if text.len() + tail.len() > longest {
            return Edited::Unchanged(Err(TOO_LONG));
        }
        text.edit(|bytes| bytes.extend_from_slice(tail));
        Edited::Changed(Ok(text.len()))
    })??;
    reply.count(length);
    Ok(())
}

fn get(context: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Result<(), Error> {
    reply.bulk_or_null(context.keys.view::<Text>(args.at(1))?.map(Text::as_bytes));
    Ok(())
}

const TOO_LONG: Error = Error::new("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
