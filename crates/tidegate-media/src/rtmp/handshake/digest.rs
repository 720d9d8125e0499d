//! Where the digests stand and how they are computed.
//!
//! After time and version a packet is two blocks of 764 bytes, one for a key (unused without
//! encryption) and one for the digest; which comes first is the schema. The digest's place
//! in its block is the sum of the block's first four bytes, modulo 728.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{PACKET, Packet};

pub(super) const CLIENT_KEY: &[u8] = b"Genuine Adobe Flash Player 001";
pub(super) const SERVER_KEY: &[u8] = b"Genuine Adobe Flash Media Server 001";

const TAIL: [u8; 32] = [
    0xf0, 0xee, 0xc2, 0x4a, 0x80, 0x68, 0xbe, 0xe8, 0x2e, 0x00, 0xd0, 0xd1, 0x02, 0x9e, 0x7e, 0x57,
    0x6e, 0xec, 0x5d, 0x2d, 0x29, 0x80, 0x6f, 0xab, 0x93, 0xb8, 0xe6, 0x36, 0xcf, 0xeb, 0x31, 0xae,
];

/// Keys for the second packets: the text and a published tail.
pub(super) const CLIENT_LONG_KEY: [&[u8]; 2] = [CLIENT_KEY, &TAIL];
pub(super) const SERVER_LONG_KEY: [&[u8]; 2] = [SERVER_KEY, &TAIL];

const DIGEST: usize = 32;

type Digest = [u8; DIGEST];

fn hmac(key: &[u8], parts: &[&[u8]]) -> Digest {
    // HMAC takes keys of every length; the default is never used.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return Digest::default();
    };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// A packet around its digest, the digest in the middle.
fn split(packet: &mut Packet, schema: u8) -> (&mut [u8], &mut [u8], &mut [u8]) {
    let block = if schema == 0 { 772 } else { 8 };
    let sum: usize = packet
        .iter()
        .skip(block)
        .take(4)
        .map(|byte| usize::from(*byte))
        .sum();
    // At most 772 + 4 + 727 + 32 = 1535, within the packet.
    let at = (block + 4 + sum % 728).min(PACKET - DIGEST);
    let (before, rest) = packet.split_at_mut(at);
    let (digest, after) = rest.split_at_mut(DIGEST);
    (before, digest, after)
}

/// Writes the digest into its place and gives it back.
pub(super) fn seal(packet: &mut Packet, schema: u8, key: &[u8]) -> Digest {
    let (before, place, after) = split(packet, schema);
    let digest = hmac(key, &[before, after]);
    place.copy_from_slice(&digest);
    digest
}

/// The schema whose digest is right, and the digest.
pub(super) fn find(packet: &Packet, key: &[u8]) -> Option<(u8, Digest)> {
    let mut packet = *packet;
    [0, 1].into_iter().find_map(|schema| {
        let (before, place, after) = split(&mut packet, schema);
        let digest = hmac(key, &[before, after]);
        (*place == digest).then_some((schema, digest))
    })
}

/// Signs a second packet, in its last bytes, for the peer whose first packet had `peer`.
pub(super) fn sign(packet: &mut Packet, peer: &Digest, long_key: &[&[u8]; 2]) {
    let key = hmac(&long_key.concat(), &[peer]);
    let (body, place) = packet.split_at_mut(PACKET - DIGEST);
    let signature = hmac(&key, &[body]);
    place.copy_from_slice(&signature);
}
