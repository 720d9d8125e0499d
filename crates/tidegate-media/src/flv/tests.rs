use proptest::prelude::*;

use super::*;

fn read_all(reader: &mut Reader) -> Vec<Tag> {
    std::iter::from_fn(|| reader.poll_tag().unwrap()).collect()
}

#[test]
fn a_tag_is_laid_out_as_published() {
    let written = tag(TagKind::Video, 0x0102_0304, &[0xaa, 0xbb]);
    let expected = [9, 0, 0, 2, 2, 3, 4, 1, 0, 0, 0, 0xaa, 0xbb, 0, 0, 0, 13];
    assert_eq!(written[..], expected);
}

#[test]
fn the_file_header_says_what_is_inside() {
    assert_eq!(file_header(true, true)[4], 5);
    assert_eq!(file_header(true, false)[4], 4);
    assert_eq!(file_header(false, true)[4], 1);
    assert_eq!(file_header(true, true)[9..], [0; 4]);
}

#[test]
fn what_is_not_flv_is_refused_and_stays_refused() {
    let table: &[(&[u8], Error)] = &[
        (b"HTTP/1.1 200", Error::Signature(*b"HTTP")),
        (b"FLV\x02\x05\0\0\0\x09", Error::Signature(*b"FLV\x02")),
        (b"FLV\x01\x05\0\0\0\x08", Error::HeaderLength(8)),
        (
            b"FLV\x01\x05\xff\xff\xff\xff",
            Error::HeaderLength(u32::MAX),
        ),
        (
            b"FLV\x01\x05\0\0\0\x09\0\0\0\0\x28\0\0\0\0\0\0\0\0\0\0",
            Error::TagType(0x28),
        ),
    ];
    for (input, error) in table {
        let mut reader = Reader::default();
        reader.handle_input(input);
        assert_eq!(reader.poll_tag(), Err(*error));
        assert_eq!(reader.poll_tag(), Err(*error));
    }
}

fn tags() -> impl Strategy<Value = Vec<(u8, u32, Vec<u8>)>> {
    let id = prop::sample::select(vec![8u8, 9, 18]);
    let body = prop::collection::vec(any::<u8>(), 0..300);
    prop::collection::vec((id, any::<u32>(), body), 0..8)
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_however_it_is_split(tags in tags(), step in 1usize..50) {
        let mut file = file_header(true, true).to_vec();
        for (id, timestamp, body) in &tags {
            put_tag(&mut file, TagKind::from_type_id(*id).unwrap(), *timestamp, body);
        }
        let mut reader = Reader::default();
        let mut read = Vec::new();
        for piece in file.chunks(step) {
            reader.handle_input(piece);
            read.extend(read_all(&mut reader));
        }
        let read: Vec<_> = read
            .into_iter()
            .map(|tag| (tag.kind.type_id(), tag.timestamp, tag.payload.to_vec()))
            .collect();
        prop_assert_eq!(read, tags);
    }

    #[test]
    fn arbitrary_bytes_are_survived(input in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut reader = Reader::default();
        reader.handle_input(b"FLV\x01\x05\0\0\0\x09\0\0\0\0");
        reader.handle_input(&input);
        while let Ok(Some(_)) = reader.poll_tag() {}
    }
}
