//! The handshake, both ends: simple as published, and the one with HMAC digests that Flash
//! Player introduced and most encoders and players speak.

mod digest;
#[cfg(test)]
mod tests;

use sha2::{Digest as _, Sha256};

use super::client::Handshake as Choice;
use super::{Error, Seed};

const VERSION: u8 = 3;

/// Length of C1, S1, C2 and S2.
const PACKET: usize = 1536;

type Packet = [u8; PACKET];

/// Version bytes that announce digests; players check them for being 3 or more.
const SERVER_VERSION: [u8; 4] = [4, 5, 0, 1];
const CLIENT_VERSION: [u8; 4] = [9, 0, 124, 2];

/// One end's progress. `read` is true once the handshake is complete.
#[derive(Debug)]
pub(super) enum Handshake {
    /// A server that waits for C0 and C1.
    Server { seed: Seed, seen: Vec<u8> },
    /// A client that waits for S0, S1 and S2; `digest` is that of its C1.
    Client {
        digest: Option<[u8; 32]>,
        seed: Seed,
        seen: Vec<u8>,
    },
    /// A server that waits for the rest of C2, whose content says nothing.
    Last { left: usize },
}

impl Handshake {
    pub(super) fn server(seed: Seed) -> Self {
        Self::Server {
            seed,
            seen: Vec::new(),
        }
    }

    /// A client, with C0 and C1 appended to `out`.
    pub(super) fn client(choice: Choice, seed: Seed, out: &mut Vec<u8>) -> Self {
        let mut c1 = expand(seed, 1);
        let digest = match choice {
            Choice::Simple => {
                set_head(&mut c1, [0; 4]);
                None
            }
            Choice::Digest { schema } => {
                set_head(&mut c1, CLIENT_VERSION);
                Some(digest::seal(&mut c1, schema, digest::CLIENT_KEY))
            }
        };
        out.push(VERSION);
        out.extend_from_slice(&c1);
        Self::Client {
            digest,
            seed,
            seen: Vec::new(),
        }
    }

    /// Takes bytes off `input` and appends answers to `out`; true when complete.
    pub(super) fn read(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Result<bool, Error> {
        match self {
            Self::Server { seed, seen } => {
                let Some([c1]) = gather(seen, input)? else {
                    return Ok(false);
                };
                answer_client(&c1, *seed, out);
                *self = Self::Last { left: PACKET };
                self.read(input, out)
            }
            Self::Client { digest, seed, seen } => {
                let Some([s1, _]) = gather(seen, input)? else {
                    return Ok(false);
                };
                let peer = digest.and_then(|_| digest::find(&s1, digest::SERVER_KEY));
                match peer {
                    Some((_, peer)) => {
                        let mut c2 = expand(*seed, 2);
                        digest::sign(&mut c2, &peer, &digest::CLIENT_LONG_KEY);
                        out.extend_from_slice(&c2);
                    }
                    None => out.extend_from_slice(&s1),
                }
                Ok(true)
            }
            Self::Last { left } => {
                let taken = (*left).min(input.len());
                *input = input.get(taken..).unwrap_or_default();
                *left -= taken;
                Ok(*left == 0)
            }
        }
    }
}

/// Collects the version byte and `N` packets in `seen`; the version is judged as soon as it comes.
fn gather<const N: usize>(
    seen: &mut Vec<u8>,
    input: &mut &[u8],
) -> Result<Option<[Packet; N]>, Error> {
    let wanted = 1 + N * PACKET;
    let taken = (wanted - seen.len()).min(input.len());
    let (piece, rest) = input.split_at(taken);
    *input = rest;
    seen.extend_from_slice(piece);
    match seen.first() {
        Some(&VERSION) | None => {}
        Some(&version @ (6 | 8)) => return Err(Error::Encrypted(version)),
        Some(&first) => return Err(Error::NotRtmp { first }),
    }
    if seen.len() < wanted {
        return Ok(None);
    }
    let mut packets = [[0; PACKET]; N];
    let bodies = seen.get(1..).unwrap_or_default().chunks_exact(PACKET);
    for (packet, body) in packets.iter_mut().zip(bodies) {
        packet.copy_from_slice(body);
    }
    *seen = Vec::new();
    Ok(Some(packets))
}

/// S0, S1 and S2. A client whose C1 holds a valid digest gets valid digests; any other gets its
/// own packet back, as encoders that compare it expect.
fn answer_client(c1: &Packet, seed: Seed, out: &mut Vec<u8>) {
    let mut s1 = expand(seed, 1);
    out.reserve(1 + 2 * PACKET);
    out.push(VERSION);
    let announced = !matches!(c1, [_, _, _, _, 0, 0, 0, 0, ..]);
    let found = announced.then(|| digest::find(c1, digest::CLIENT_KEY));
    if let Some((schema, peer)) = found.flatten() {
        set_head(&mut s1, SERVER_VERSION);
        digest::seal(&mut s1, schema, digest::SERVER_KEY);
        let mut s2 = expand(seed, 2);
        digest::sign(&mut s2, &peer, &digest::SERVER_LONG_KEY);
        out.extend_from_slice(&s1);
        out.extend_from_slice(&s2);
    } else {
        set_head(&mut s1, [0; 4]);
        out.extend_from_slice(&s1);
        out.extend_from_slice(c1);
    }
}

/// Time 0 and a version.
fn set_head(packet: &mut Packet, version: [u8; 4]) {
    let [a, b, c, d] = version;
    for (to, from) in packet.iter_mut().zip([0, 0, 0, 0, a, b, c, d]) {
        *to = from;
    }
}

/// A packet of bytes that only the seed and `label` decide.
fn expand(seed: Seed, label: u8) -> Packet {
    let mut packet = [0; PACKET];
    for (block, counter) in packet.chunks_mut(32).zip(0u8..) {
        let hash = Sha256::new()
            .chain_update(seed)
            .chain_update([label, counter])
            .finalize();
        block.copy_from_slice(&hash);
    }
    packet
}
