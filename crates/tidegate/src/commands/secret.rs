//! Secrets on their way to the server: from a file or standard input, never the command line.

use std::io::{self, IsTerminal, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::Args;
use tidegate_core::Secret;

use crate::exit::Failure;
use crate::output;

/// Longest secret; a token of temporary credentials is the longest there is.
const LONGEST: u64 = 8192;

/// Where the secret is.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct SecretArgs {
    /// File with the secret; one newline at its end does not count
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,

    /// Read the secret from standard input
    #[arg(long)]
    secret_stdin: bool,
}

impl SecretArgs {
    /// The secret.
    pub(crate) fn read(&self) -> Result<Secret, Failure> {
        match &self.secret_file {
            Some(path) => from_file(path),
            None => from_stdin(),
        }
    }
}

/// The secret in a file.
pub(crate) fn from_file(path: &Path) -> Result<Secret, Failure> {
    let failed = |error: io::Error| {
        let hint = match path.as_os_str() == "-" {
            true => "; --secret-stdin reads standard input",
            false => "",
        };
        Failure::usage(format!("cannot read {}: {error}{hint}", path.display()))
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if about.is_file() && about.mode() & 0o044 != 0 {
        output::note(&format!(
            "warning: {0} can be read by others (mode {1:04o}); `chmod 600 {0}` keeps it to its \
             owner",
            path.display(),
            about.mode() & 0o7777
        ));
    }
    read(file, &path.display().to_string())
}

fn from_stdin() -> Result<Secret, Failure> {
    let stdin = io::stdin().lock();
    if stdin.is_terminal() {
        return Err(Failure::usage(
            "--secret-stdin on a terminal would show the secret; pipe it in, as in `pass show cdn \
             | tidegate account ... --secret-stdin`, or use --secret-file",
        ));
    }
    read(stdin, "standard input")
}

fn read(from: impl Read, place: &str) -> Result<Secret, Failure> {
    let mut bytes = Vec::new();
    from.take(LONGEST + 3)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::usage(format!("cannot read {place}: {error}")))?;
    let text = String::from_utf8(bytes);
    let checked = match &text {
        Ok(text) => without_newline(text),
        Err(_) => Err("is not text"),
    };
    match checked {
        Ok(secret) => Ok(Secret::new(secret.to_owned())),
        Err(what) => Err(Failure::usage(format!(
            "{place} {what}; a secret is one line without spaces, exactly as the vendor issued it"
        ))),
    }
}

/// The one line, without its newline.
fn without_newline(text: &str) -> Result<&str, &'static str> {
    let line = text.strip_suffix('\n');
    let line = line.map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    if line.is_empty() {
        return Err("holds no secret");
    }
    if u64::try_from(line.len()).is_ok_and(|length| length > LONGEST) {
        return Err("holds more than a secret");
    }
    if line.ends_with(['\n', '\r']) {
        return Err("ends in more than one newline");
    }
    if line.contains(['\n', '\r']) {
        return Err("has more than one line");
    }
    if line.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("has spaces or control characters");
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_newline_at_the_end_does_not_count() {
        for text in ["hush", "hush\n", "hush\r\n"] {
            assert_eq!(without_newline(text), Ok("hush"), "{text:?}");
        }
    }

    #[test]
    fn anything_more_is_refused_in_words_that_do_not_tell_it() {
        for (text, words) in [
            ("", "no secret"),
            ("\n", "no secret"),
            ("\r\n", "no secret"),
            ("hush\n\n", "more than one newline"),
            ("hush\r\n\r\n", "more than one newline"),
            ("hush\r", "more than one newline"),
            ("hu\nsh", "more than one line"),
            ("hu sh\n", "spaces"),
            (" hush", "spaces"),
            ("hush\t\n", "spaces"),
            ("hush\0", "control"),
            ("hu\u{a0}sh", "spaces"),
        ] {
            let refused = read(text.as_bytes(), "the file")
                .expect_err("refused")
                .words;
            assert!(refused.contains(words), "{text:?}: {refused}");
            assert!(!refused.contains("hush"), "{refused}");
        }
        assert!(read(&[0xff, 0xfe][..], "the file").is_err());
        let long = "x".repeat(9000);
        assert!(read(long.as_bytes(), "the file").is_err());
        let longest = format!("{}\r\n", "x".repeat(8192));
        assert!(read(longest.as_bytes(), "the file").is_ok());
    }
}
