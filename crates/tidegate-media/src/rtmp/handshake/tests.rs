//! The golden hashes were computed by a separate implementation, with Python's hmac and hashlib.

use super::*;

fn sha256(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes that count up by `step` from `first`.
fn counting(step: usize, first: usize) -> Packet {
    std::array::from_fn(|at| u8::try_from((at * step + first) % 256).unwrap())
}

/// What a server answers to C0 and C1, fed in pieces of `step`.
fn answer(c1: &Packet, step: usize) -> Vec<u8> {
    let mut server = Handshake::server([5; 32]);
    let mut out = Vec::new();
    let input = [&[3], &c1[..]].concat();
    for mut piece in input.chunks(step) {
        assert!(!server.read(&mut piece, &mut out).unwrap());
    }
    out
}

fn client_c1(schema: u8) -> Packet {
    let mut c1 = counting(7, 3);
    set_head(&mut c1, CLIENT_VERSION);
    digest::seal(&mut c1, schema, digest::CLIENT_KEY);
    c1
}

#[test]
fn a_digest_client_of_either_schema_is_answered_with_the_right_digests() {
    for (schema, expected) in [
        (
            0,
            "88437f370eacaef54fdb1a6ffcd1a12946c092262baa5597c616f2ba9ce12bb4",
        ),
        (
            1,
            "5af005ba5aa4790a969a848df64124f58bdc3da20b07ec3567e3995b25dce6df",
        ),
    ] {
        let c1 = client_c1(schema);
        assert_eq!(sha256(&answer(&c1, 4096)), expected);
        assert_eq!(sha256(&answer(&c1, 1)), expected);
    }
}

#[test]
fn a_digest_client_signs_for_either_schema() {
    for (schema, first, second) in [
        (
            0,
            "f333b8cf76c1d2aa5f98f84870edb66c8fdd5cb5f5dd0aff1154f012a1f0ffaf",
            "8ab6c8b39976d652c9f7d1886af0422205325257e30d2c8f8bbff96290c1639a",
        ),
        (
            1,
            "ab704db49c623f816a0f0a10601b0db9282f682a2bcde53dee4b3e6923e565cc",
            "c15bc048a21a8dca5b49af1e25a38f7dd30fa97be85e16fdcb67d4ceeebac769",
        ),
    ] {
        let mut out = Vec::new();
        let mut client = Handshake::client(Choice::Digest { schema }, [9; 32], &mut out);
        assert_eq!(sha256(&out), first);
        let mut s1 = counting(11, 1);
        set_head(&mut s1, SERVER_VERSION);
        digest::seal(&mut s1, schema, digest::SERVER_KEY);
        let input = [&[3], &s1[..], &[0; PACKET]].concat();
        out.clear();
        assert!(client.read(&mut &input[..], &mut out).unwrap());
        assert_eq!(sha256(&out), second);
    }
}

#[test]
fn a_simple_client_gets_its_own_packet_back() {
    let mut c1 = counting(3, 1);
    set_head(&mut c1, [0; 4]);
    let out = answer(&c1, 100);
    assert_eq!(out.len(), 1 + 2 * PACKET);
    assert_eq!(out[0], 3);
    assert_eq!(out[1..9], [0; 8]);
    assert_eq!(out[1 + PACKET..], c1);
}

#[test]
fn a_wrong_digest_counts_as_a_simple_client() {
    let mut c1 = client_c1(1);
    c1[1535] ^= 1;
    assert_eq!(answer(&c1, 4096)[1 + PACKET..], c1);
}

#[test]
fn a_digest_client_settles_for_a_simple_server() {
    let mut out = Vec::new();
    let mut client = Handshake::client(Choice::Digest { schema: 1 }, [9; 32], &mut out);
    let s1 = counting(5, 2);
    let input = [&[3], &s1[..], &out[1..]].concat();
    out.clear();
    assert!(client.read(&mut &input[..], &mut out).unwrap());
    assert_eq!(out, s1);
}

#[test]
fn the_server_is_done_after_exactly_the_last_packet() {
    let mut server = Handshake::server([5; 32]);
    let mut out = Vec::new();
    let input = [&[3], &client_c1(0)[..], &[0; PACKET], b"chunks"].concat();
    let mut rest = &input[..];
    assert!(server.read(&mut rest, &mut out).unwrap());
    assert_eq!(rest, b"chunks");
}

#[test]
fn what_is_not_rtmp_is_refused_at_its_first_byte() {
    for (input, words) in [
        (&b"G"[..], "HTTP"),
        (b"\x16\x03\x01", "TLS"),
        (b"\x06", "RTMPE"),
        (b"\x08", "RTMPE"),
        (b"\x00", "starts with 0x03"),
        (b"\xff", "starts with 0x03"),
    ] {
        for mut handshake in [
            Handshake::server([0; 32]),
            Handshake::client(Choice::Simple, [0; 32], &mut Vec::new()),
        ] {
            let error = handshake.read(&mut &*input, &mut Vec::new()).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
