//! The socket as hyper sees it: writes time out, and hyper's own refusals get a JSON body.
//!
//! hyper answers a head that it cannot parse by itself, with an empty body, and calls a request
//! line that outgrows its buffer a header problem. Both are put right on the way out.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// A line longer than this that begins like a request is a request line that is too long.
const LONG_LINE: usize = 64 * 1024;

/// A connection's socket.
pub(crate) struct Wire {
    socket: TcpStream,
    write_timeout: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
    line: LineLength,
    /// What is sent in place of hyper's own refusal, and how much of it is out.
    instead: Option<(Vec<u8>, usize)>,
}

/// Length of the line that is being received, and whether it may be a request line.
#[derive(Default)]
struct LineLength {
    length: usize,
    is_request: bool,
}

impl LineLength {
    fn feed(&mut self, bytes: &[u8]) {
        let rest = match bytes.iter().rposition(|b| *b == b'\n') {
            Some(at) => {
                *self = Self::default();
                bytes.get(at + 1..).unwrap_or_default()
            }
            None => bytes,
        };
        if self.length == 0 {
            self.is_request = rest.starts_with(b"GET /") || rest.starts_with(b"POST /");
        }
        self.length += rest.len();
    }

    fn is_long_request(&self) -> bool {
        self.is_request && self.length > LONG_LINE
    }
}

impl Wire {
    pub(crate) fn new(socket: TcpStream, write_timeout: Duration) -> Self {
        Self {
            socket,
            write_timeout,
            stalled: None,
            line: LineLength::default(),
            instead: None,
        }
    }

    /// Counts how long the peer has taken nothing.
    fn progress<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let wait = self.write_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(wait)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn write_instead(&mut self, cx: &mut Context<'_>, of: usize) -> Poll<io::Result<usize>> {
        while let Some((text, out)) = &mut self.instead {
            let rest = text.get(*out..).unwrap_or_default();
            if rest.is_empty() {
                self.instead = None;
                break;
            }
            let written = Pin::new(&mut self.socket).poll_write(cx, rest);
            if let Poll::Ready(Ok(n)) = &written {
                *out += n;
            }
            ready!(self.progress(cx, written))?;
        }
        Poll::Ready(Ok(of))
    }
}

/// What to send for a refusal of hyper's own; ours always have a body.
fn instead_of(head: &[u8], long_line: bool) -> Option<Vec<u8>> {
    let rest = head.strip_prefix(b"HTTP/1.1 4")?;
    let is_empty = head.windows(17).any(|w| w == b"content-length: 0");
    if !is_empty {
        return None;
    }
    let (status, words) = match rest {
        [b'3', b'1', ..] if !long_line => (
            "431 Request Header Fields Too Large",
            "the headers may have 32768 bytes and 100 lines at most",
        ),
        [b'3', b'1', ..] | [b'1', b'4', ..] => {
            ("414 URI Too Long", "the query may have 61440 bytes at most")
        }
        [b'0', b'0', ..] => ("400 Bad Request", "this is not an HTTP/1.1 request"),
        _ => return None,
    };
    let body = format!("{{\"Code\":2,\"Message\":\"{words}\",\"RequestId\":\"\",\"Data\":null}}");
    let text = format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-type: application/json; \
         charset=utf-8\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    Some(text.into_bytes())
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buffer))?;
        let read = buffer.filled().get(before..).unwrap_or_default();
        self.line.feed(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        if wire.instead.is_none() {
            wire.instead = instead_of(bytes, wire.line.is_long_request()).map(|text| (text, 0));
        }
        if wire.instead.is_some() {
            return wire.write_instead(cx, bytes.len());
        }
        let written = Pin::new(&mut wire.socket).poll_write(cx, bytes);
        wire.progress(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_request_line_is_told_from_a_long_header() {
        let mut line = LineLength::default();
        line.feed(b"GET /?");
        line.feed(&[b'a'; LONG_LINE]);
        assert!(line.is_long_request());
        line.feed(b" HTTP/1.1\r\nX: ");
        line.feed(&[b'a'; LONG_LINE]);
        assert!(!line.is_long_request());
    }

    #[test]
    fn only_empty_refusals_are_replaced() {
        let empty = b"HTTP/1.1 431 X\r\ncontent-length: 0\r\n\r\n";
        let text = |long| String::from_utf8(instead_of(empty, long).expect("replaced"));
        assert!(text(true).expect("text").starts_with("HTTP/1.1 414 "));
        assert!(text(false).expect("text").starts_with("HTTP/1.1 431 "));
        assert!(instead_of(b"HTTP/1.1 400 X\r\ncontent-length: 10\r\n", false).is_none());
        assert!(instead_of(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n", false).is_none());
        assert!(instead_of(b"", false).is_none());
    }
}
