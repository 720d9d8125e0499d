//! Limits of the process that the system sets too low for a media server.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the number of open files to what the system allows, and logs it: every player is one.
pub(crate) fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    let before = limit.current;
    limit.current = limit.maximum;
    let outcome = setrlimit(Resource::Nofile, limit);
    let shown = |limit: Option<u64>| limit.map_or("unlimited".to_owned(), |n| n.to_string());
    match outcome {
        Ok(()) => tracing::info!(
            open_files = shown(getrlimit(Resource::Nofile).current),
            "limit of open files"
        ),
        Err(error) => tracing::warn!(
            open_files = shown(before),
            %error,
            "the limit of open files could not be raised"
        ),
    }
}
