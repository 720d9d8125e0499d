use proptest::prelude::*;

use super::*;
use crate::flv::TagKind;
use crate::rtmp::chunk_write::{Header, put_media, put_message};

fn reader() -> Reader {
    Reader::new(1 << 20, 64, 2 << 20)
}

fn read_all(reader: &mut Reader, mut input: &[u8]) -> Result<Vec<Message>, Error> {
    let mut messages = Vec::new();
    while let Some(message) = reader.read(&mut input)? {
        messages.push(message);
    }
    assert!(input.is_empty());
    Ok(messages)
}

/// Reads `input` whole and byte by byte, which must give the same.
fn read(input: &[u8]) -> Result<Vec<Message>, Error> {
    let whole = read_all(&mut reader(), input);
    let mut slow = reader();
    let bytewise: Result<Vec<_>, _> = input
        .chunks(1)
        .map(|byte| read_all(&mut slow, byte))
        .collect();
    assert_eq!(whole, bytewise.map(|messages| messages.concat()));
    whole
}

fn message(type_id: u8, msid: u32, timestamp: u32, payload: &[u8]) -> Message {
    Message {
        type_id,
        msid,
        timestamp,
        payload: Bytes::copy_from_slice(payload),
    }
}

fn full(csid: u8, timestamp: [u8; 3], length: u8, type_id: u8) -> Vec<u8> {
    let [a, b, c] = timestamp;
    vec![csid, a, b, c, 0, 0, length, type_id, 1, 0, 0, 0]
}

fn control(type_id: u8, number: u32) -> Vec<u8> {
    let mut out = full(2, [0; 3], 4, type_id);
    out.extend(number.to_be_bytes());
    out
}

#[test]
fn every_header_form_gives_its_timestamp() {
    let mut input = full(4, [0, 0, 100], 1, 8);
    input.push(b'a');
    input.extend([0x44, 0, 0, 20, 0, 0, 2, 9, b'b', b'b']);
    input.extend([0x84, 0, 0, 5, b'c', b'c']);
    input.extend([0xc4, b'd', b'd']);
    assert_eq!(
        read(&input).unwrap(),
        [
            message(8, 1, 100, b"a"),
            message(9, 1, 120, b"bb"),
            message(9, 1, 125, b"cc"),
            message(9, 1, 130, b"dd"),
        ]
    );
}

#[test]
fn chunk_stream_ids_of_two_and_three_bytes_are_told_apart() {
    let tail = [0, 0, 1, 0, 0, 1, 8, 0, 0, 0, 0, b'x'];
    for basic in [&[0u8, 0][..], &[0, 255], &[1, 0, 0], &[1, 255, 255], &[63]] {
        let input = [basic, &tail].concat();
        assert_eq!(read(&input).unwrap(), [message(8, 0, 1, b"x")]);
    }
    // 64 in both of its forms is one chunk stream.
    let input = [&[0u8, 0][..], &tail, &[0xc1, 0, 0, b'y']].concat();
    assert_eq!(read(&input).unwrap().len(), 2);
}

#[test]
fn a_chunk_stream_may_begin_with_fmt_1_and_no_less() {
    let input = [0x42, 0, 0, 7, 0, 0, 1, 8, b'x'];
    assert_eq!(read(&input).unwrap(), [message(8, 0, 7, b"x")]);
    for (first, fmt) in [(0x85, 2), (0xc5, 3)] {
        let error = Error::NoEarlierChunk { csid: 5, fmt };
        assert_eq!(read(&[first, 0, 0, 0, 0]), Err(error));
    }
}

#[test]
fn timestamps_wrap() {
    let mut input = full(4, [0xff; 3], 1, 8);
    input.extend([0xff, 0xff, 0xff, 0xfe, b'a']);
    input.extend([0x44, 0, 0, 3, 0, 0, 1, 8, b'b']);
    let times: Vec<_> = read(&input).unwrap().iter().map(|m| m.timestamp).collect();
    assert_eq!(times, [0xffff_fffe, 1]);
}

#[test]
fn an_extended_timestamp_is_read_repeated_and_left_out() {
    let body: Vec<u8> = (0..200).map(|n| n ^ 0x5a).collect();
    let time = 0x0123_4567u32.to_be_bytes();
    for repeated in [&time[..], &[]] {
        let mut input = full(4, [0xff; 3], 200, 9);
        input.extend(time);
        input.extend(&body[..128]);
        input.push(0xc4);
        input.extend(repeated);
        input.extend(&body[128..]);
        assert_eq!(read(&input).unwrap(), [message(9, 1, 0x0123_4567, &body)]);
    }
}

#[test]
fn a_body_that_begins_like_the_left_out_timestamp_stays_whole() {
    let time = 0x0123_4567u32.to_be_bytes();
    for (alike, length) in [(1, 129), (1, 200), (2, 129), (3, 129), (3, 130), (3, 200)] {
        let mut body = vec![0x5a; length];
        let tail = alike.min(length - 128);
        body[128..128 + tail].copy_from_slice(&time[..tail]);
        let mut input = full(4, [0xff; 3], u8::try_from(length).unwrap(), 9);
        input.extend(time);
        input.extend(&body[..128]);
        input.push(0xc4);
        input.extend(&body[128..]);
        // The next header, of chunk stream 35, goes on like the timestamp.
        input.extend([0x23, 0, 0, 9, 0, 0, 1, 8, 1, 0, 0, 0, 7]);
        let expected = [message(9, 1, 0x0123_4567, &body), message(8, 1, 9, &[7])];
        assert_eq!(read(&input).unwrap(), expected, "{alike} of {length}");
    }
}

#[test]
fn an_extended_delta_may_be_repeated_as_the_absolute_time() {
    let body = [7u8; 200];
    let mut input = full(4, [0, 0, 9], 1, 9);
    input.push(1);
    input.extend([0x44, 0xff, 0xff, 0xff, 0, 0, 200, 9, 1, 0, 0, 0]);
    input.extend(&body[..128]);
    input.push(0xc4);
    input.extend((0x0100_0000u32 + 9).to_be_bytes());
    input.extend(&body[128..]);
    assert_eq!(read(&input).unwrap()[1], message(9, 1, 0x0100_0009, &body));
}

#[test]
fn chunk_size_changes_between_the_chunks_of_a_message() {
    let body = [3u8; 228];
    let mut input = full(4, [0; 3], 228, 9);
    input.extend(&body[..128]);
    input.extend(control(1, 60));
    input.push(0xc4);
    input.extend(&body[..60]);
    input.push(0xc4);
    input.extend(&body[..40]);
    assert_eq!(read(&input).unwrap(), [message(9, 1, 0, &body)]);
}

#[test]
fn an_aborted_message_is_forgotten() {
    let mut input = full(4, [0; 3], 200, 9);
    input.extend([1; 128]);
    input.extend(control(2, 4));
    input.extend(control(2, 99));
    input.extend(full(4, [0; 3], 1, 8));
    input.push(5);
    assert_eq!(read(&input).unwrap(), [message(8, 1, 0, &[5])]);
}

#[test]
fn interleaved_messages_come_out_in_order_of_completion() {
    let (video, audio) = ([9u8; 200], [8u8; 10]);
    let mut input = full(6, [0; 3], 200, 9);
    input.extend(&video[..128]);
    input.extend(full(4, [0, 0, 1], 10, 8));
    input.extend(audio);
    input.push(0xc6);
    input.extend(&video[128..]);
    assert_eq!(
        read(&input).unwrap(),
        [message(8, 1, 1, &audio), message(9, 1, 0, &video)]
    );
}

#[test]
fn hostile_chunks_are_refused() {
    let mut interrupted = full(4, [0; 3], 200, 9);
    interrupted.extend([1; 128]);
    interrupted.extend(full(4, [0; 3], 200, 9));
    let mut short_control = full(2, [0; 3], 2, 1);
    short_control.extend([0, 0]);
    let too_long = [4, 0, 0, 0, 0xff, 0xff, 0xff, 9, 0, 0, 0, 0];
    let many: Vec<u8> = (3..=67)
        .flat_map(|csid: u32| {
            let mut out = Vec::new();
            let header = Header {
                csid,
                type_id: 8,
                msid: 1,
                timestamp: 0,
            };
            put_message(&mut out, header, b"x", 128);
            out
        })
        .collect();
    let short = Error::ShortControl {
        type_id: 1,
        length: 2,
        expected: 4,
    };
    let long = Error::MessageTooLong {
        length: 0xff_ffff,
        limit: 1 << 20,
    };
    let table: &[(&[u8], Error)] = &[
        (&control(1, 0), Error::ChunkSize(0)),
        (&control(1, 0x8000_0000), Error::ChunkSize(0x8000_0000)),
        (&interrupted, Error::Interrupted { csid: 4 }),
        (&short_control, short),
        (&too_long, long),
        (&many, Error::TooManyChunkStreams(64)),
    ];
    for (input, error) in table {
        assert_eq!(read(input).as_ref(), Err(error));
    }
}

#[test]
fn declared_lengths_allocate_next_to_nothing() {
    let mut reader = Reader::new(16 << 20, 64, 24 << 20);
    for csid in 3..60 {
        let mut input = vec![csid, 0, 0, 0, 0xff, 0xff, 0xff, 9, 0, 0, 0, 0];
        input.extend([0; 128]);
        assert_eq!(read_all(&mut reader, &input), Ok(Vec::new()));
    }
    let mut endless = control(1, 0x7fff_ffff);
    endless.extend([60, 0, 0, 0, 0xff, 0xff, 0xff, 9, 0, 0, 0, 0]);
    assert_eq!(read_all(&mut reader, &endless), Ok(Vec::new()));
    let held: usize = reader
        .streams
        .iter()
        .filter_map(|stream| stream.body.as_ref())
        .map(Vec::capacity)
        .sum();
    assert!(held <= 58 * (64 << 10), "{held}");
}

#[test]
fn unfinished_messages_together_are_bounded() {
    let mut reader = Reader::new(1000, 64, 2000);
    let mut outcome = Ok(Vec::new());
    for csid in 3..40 {
        let mut input = vec![csid, 0, 0, 0, 0, 3, 0xe8, 9, 0, 0, 0, 0];
        input.extend([0; 128]);
        outcome = read_all(&mut reader, &input);
        if outcome.is_err() {
            break;
        }
    }
    assert_eq!(outcome, Err(Error::TooMuchUnfinished(2000)));
}

#[test]
fn a_million_empty_messages_hold_no_memory() {
    let mut reader = reader();
    let mut input = full(4, [0; 3], 0, 9);
    input.extend(vec![0xc4; 1_000_000]);
    let mut rest = &input[..];
    let mut count = 0;
    while let Some(message) = reader.read(&mut rest).unwrap() {
        assert!(message.payload.is_empty());
        count += 1;
    }
    assert_eq!((count, reader.partial), (1_000_001, 0));
}

#[derive(Clone, Debug)]
struct Sent {
    header: Header,
    payload: Vec<u8>,
}

fn sent() -> impl Strategy<Value = Sent> {
    let csid = prop_oneof![3u32..64, 64u32..320, 320u32..65_600];
    let type_id = prop::sample::select(vec![3u8, 4, 8, 9, 18, 20]);
    let timestamp = prop_oneof![any::<u32>(), 0xff_fff0u32..0x100_0010];
    let payload = prop::collection::vec(any::<u8>(), 0..700);
    (csid, type_id, any::<u32>(), timestamp, payload).prop_map(
        |(csid, type_id, msid, timestamp, payload)| Sent {
            header: Header {
                csid,
                type_id,
                msid,
                timestamp,
            },
            payload,
        },
    )
}

/// Cuts a message into the pieces its chunks are.
fn chunks(sent: &Sent, chunk_size: usize) -> Vec<Vec<u8>> {
    let mut whole = Vec::new();
    put_message(&mut whole, sent.header, &sent.payload, chunk_size);
    let basic = match sent.header.csid {
        ..64 => 1,
        64..320 => 2,
        _ => 3,
    };
    let extended = if sent.header.timestamp >= 0xff_ffff {
        4
    } else {
        0
    };
    let mut pieces = Vec::new();
    let mut head = basic + 11 + extended;
    while !whole.is_empty() {
        let end = (head + chunk_size).min(whole.len());
        let rest = whole.split_off(end);
        pieces.push(std::mem::replace(&mut whole, rest));
        head = basic + extended;
    }
    pieces
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_however_it_is_split(
        all in prop::collection::vec(sent(), 1..8),
        chunk_size in 1u32..900,
        step in 1usize..200,
    ) {
        let mut input = control(1, chunk_size);
        for sent in &all {
            put_message(&mut input, sent.header, &sent.payload, chunk_size as usize);
        }
        let mut reader = reader();
        let mut read = Vec::new();
        for piece in input.chunks(step) {
            read.extend(read_all(&mut reader, piece).unwrap());
        }
        let expected: Vec<_> = all
            .iter()
            .map(|sent| {
                let header = sent.header;
                message(header.type_id, header.msid, header.timestamp, &sent.payload)
            })
            .collect();
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn interleaved_chunk_streams_do_not_mix(
        all in prop::collection::vec(sent(), 2..6),
        chunk_size in 1u32..300,
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..400),
    ) {
        let mut queues: Vec<(Sent, std::collections::VecDeque<Vec<u8>>)> = Vec::new();
        for sent in all {
            if queues.iter().all(|(other, _)| other.header.csid != sent.header.csid) {
                let pieces = chunks(&sent, chunk_size as usize).into();
                queues.push((sent, pieces));
            }
        }
        let mut input = control(1, chunk_size);
        for index in order {
            let queue = index.index(queues.len());
            input.extend(queues[queue].1.pop_front().unwrap_or_default());
        }
        for (_, queue) in &mut queues {
            input.extend(queue.drain(..).flatten());
        }
        let read = read_all(&mut reader(), &input).unwrap();
        prop_assert_eq!(read.len(), queues.len());
        for (sent, _) in queues {
            let header = sent.header;
            let expected = message(header.type_id, header.msid, header.timestamp, &sent.payload);
            prop_assert!(read.contains(&expected));
        }
    }

    #[test]
    fn arbitrary_bytes_are_survived_alike_in_any_split(
        input in prop::collection::vec(any::<u8>(), 0..400),
        step in 1usize..20,
    ) {
        let mut whole = reader();
        let mut one = Vec::new();
        let mut rest = &input[..];
        while let Ok(Some(message)) = whole.read(&mut rest) {
            one.push(message);
        }
        let mut pieces = reader();
        let mut other = Vec::new();
        'input: for mut piece in input.chunks(step) {
            loop {
                match pieces.read(&mut piece) {
                    Ok(Some(message)) => other.push(message),
                    Ok(None) => break,
                    Err(_) => break 'input,
                }
            }
        }
        prop_assert_eq!(one, other);
    }
}

#[test]
fn media_reads_back_for_any_message_stream() {
    let payload = vec![0x17u8; 150_000];
    for msid in [1, 7] {
        let mut input = control(1, 65_536);
        put_media(&mut input, TagKind::Video, msid, 0x0200_0000, &payload);
        let read = read_all(&mut reader(), &input).unwrap();
        assert_eq!(read, [message(9, msid, 0x0200_0000, &payload)]);
    }
}
