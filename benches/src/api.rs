//! The Server API as a caller sees it: a signer written from the published recipe, and requests
//! on a plain socket.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use md5::{Digest as _, Md5};

/// Signs requests of one App; every request has its own nonce.
pub(crate) struct Caller {
    app_id: u32,
    secret: String,
    nonce: u64,
}

impl Caller {
    pub(crate) fn new(app_id: u32, secret: &str) -> anyhow::Result<Self> {
        let mut start = [0; 8];
        getrandom::fill(&mut start).map_err(|e| anyhow::anyhow!("no randomness: {e}"))?;
        Ok(Self {
            app_id,
            secret: secret.to_owned(),
            nonce: u64::from_be_bytes(start),
        })
    }

    /// Appends a whole GET request.
    pub(crate) fn put(&mut self, out: &mut Vec<u8>, action: &str, name: &str, value: &str) {
        self.nonce = self.nonce.wrapping_add(1);
        let (app, nonce, timestamp) = (self.app_id, self.nonce, now_seconds());
        let mut md5 = Md5::new();
        md5.update(format!("{app}{nonce:016x}{}{timestamp}", self.secret));
        let signature = hex::encode(md5.finalize());
        // Writing to a Vec cannot fail.
        let _ = write!(
            out,
            "GET /?Action={action}&{name}={value}&AppId={app}&SignatureNonce={nonce:016x}\
             &Timestamp={timestamp}&Signature={signature}&SignatureVersion=2.0 HTTP/1.1\r\n\
             Host: bench\r\n\r\n"
        );
    }

    pub(crate) fn forbid(&mut self, stream: &str) -> Vec<u8> {
        self.request("ForbidCDNLiveStream", stream)
    }

    pub(crate) fn resume(&mut self, stream: &str) -> Vec<u8> {
        self.request("ResumeCDNLiveStream", stream)
    }

    fn request(&mut self, action: &str, stream: &str) -> Vec<u8> {
        let mut out = Vec::new();
        self.put(&mut out, action, "StreamId", stream);
        out
    }
}

/// Length of the whole answer in `bytes`, head included, once its head is there.
pub(crate) fn answer_len(bytes: &[u8]) -> Option<usize> {
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(bytes).ok()? else {
        return None;
    };
    let length = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))?;
    let length: usize = std::str::from_utf8(length.value).ok()?.parse().ok()?;
    Some(head + length)
}

/// Whether an answer says `"Code":0`.
pub(crate) fn is_success(answer: &[u8]) -> bool {
    answer.windows(9).any(|window| window == b"\"Code\":0,")
}

/// Connects for many calls.
pub(crate) fn connect(addr: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(addr).context("connecting to the API")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(stream)
}

/// One call that must succeed; waits for its answer.
pub(crate) fn call(stream: &mut TcpStream, request: &[u8]) -> anyhow::Result<()> {
    stream.write_all(request)?;
    let mut answer = Vec::new();
    let mut room = [0; 4096];
    while answer_len(&answer).is_none_or(|len| answer.len() < len) {
        let len = stream.read(&mut room).context("waiting for an answer")?;
        if len == 0 {
            bail!("the API closed without an answer");
        }
        answer.extend_from_slice(room.get(..len).unwrap_or_default());
    }
    must_succeed(&answer)
}

pub(crate) fn must_succeed(answer: &[u8]) -> anyhow::Result<()> {
    if is_success(answer) {
        return Ok(());
    }
    bail!("a call failed: {}", String::from_utf8_lossy(answer))
}

pub(crate) fn now_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_as_long_as_its_head_says() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        assert_eq!(answer_len(answer), Some(answer.len()));
        assert_eq!(answer_len(&answer[..20]), None);
    }

    #[test]
    fn every_request_has_its_own_nonce() {
        let mut caller = Caller::new(1, "s").unwrap();
        assert_ne!(caller.forbid("a"), caller.forbid("a"));
    }
}
