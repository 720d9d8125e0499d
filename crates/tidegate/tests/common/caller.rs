//! A keep-alive connection, written for the tests alone.
//!
//! Use it beside the harness: `#[path = "common/caller.rs"] mod caller;`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use crate::harness::DEADLINE;

/// One connection to a server that may die under it.
pub(crate) struct Caller(BufReader<TcpStream>);

impl Caller {
    pub(crate) fn connect(api: &str) -> Option<Self> {
        let socket = TcpStream::connect(api).ok()?;
        socket.set_read_timeout(Some(DEADLINE)).ok()?;
        Some(Self(BufReader::new(socket)))
    }

    /// The JSON that answers a `GET`; `None` when the connection broke.
    pub(crate) fn get(&mut self, path: &str, headers: &str) -> Option<Value> {
        let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
        self.0.get_mut().write_all(head.as_bytes()).ok()?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).ok()?;
        serde_json::from_slice(&body).ok()
    }
}
