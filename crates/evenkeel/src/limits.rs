//! Limits of the process that are worth raising before anything is served.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of open files to the hard one: a client and an endpoint each cost a descriptor,
/// and the soft limit of most systems is for programs that use `select`.
pub(crate) fn raise_open_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        // Without it we serve as well, with fewer connections, and say so when they are used up.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
}
