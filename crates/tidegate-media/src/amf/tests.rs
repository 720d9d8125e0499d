use proptest::prelude::*;

use super::*;

fn encoded(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&mut out, value);
    out
}

fn decoded(input: &[u8]) -> Result<Vec<Value>, Error> {
    decode_all(input)
}

#[test]
fn values_are_laid_out_as_published() {
    assert_eq!(
        encoded(&Value::Number(1.0)),
        [0, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0]
    );
    assert_eq!(encoded(&"ab".into()), [2, 0, 2, b'a', b'b']);
    let object = Value::object([("a", Value::Boolean(true))]);
    assert_eq!(encoded(&object), [3, 0, 1, b'a', 1, 1, 0, 0, 9]);
    assert_eq!(encoded(&Value::Null), [5]);
    let long = encoded(&Value::String("x".repeat(70_000)));
    assert_eq!(long[..5], [12, 0, 1, 0x11, 0x70]);
}

#[test]
fn text_that_is_not_utf8_is_kept_apart() {
    let values = decoded(&[2, 0, 2, 0xff, 0xfe]).unwrap();
    assert_eq!(values, [Value::RawString(vec![0xff, 0xfe])]);
    assert_eq!(values[0].as_str(), None);
}

#[test]
fn odd_but_valid_values_are_read() {
    let ecma_with_wrong_count = [8, 0, 0, 0, 99, 0, 1, b'a', 5, 0, 0, 9];
    assert_eq!(
        decoded(&ecma_with_wrong_count).unwrap(),
        [Value::EcmaArray(vec![("a".into(), Value::Null)])]
    );
    let typed = [16, 0, 1, b'C', 0, 1, b'a', 6, 0, 0, 9];
    assert_eq!(
        decoded(&typed).unwrap(),
        [Value::object([("a", Value::Undefined)])]
    );
    let empty_name = [3, 0, 0, 1, 1, 0, 0, 9];
    assert_eq!(
        decoded(&empty_name).unwrap(),
        [Value::object([("", Value::Boolean(true))])]
    );
    assert_eq!(
        decoded(&[7, 0, 0, 13]).unwrap(),
        [Value::Undefined, Value::Undefined]
    );
}

#[test]
fn the_last_of_two_equal_names_wins() {
    let object = Value::object([("a", Value::Null), ("a", Value::Number(2.0))]);
    assert_eq!(object.get("a"), Some(&Value::Number(2.0)));
    assert_eq!(object.get("b"), None);
}

#[test]
fn hostile_input_is_refused_in_bounded_work() {
    let deep = [3, 0, 1, b'a'].repeat(100);
    let deep_arrays = [10, 0, 0, 0, 1].repeat(100);
    let deep_amf3 = [&[17][..], &[9, 3, 1].repeat(100)].concat();
    let many = [5u8].repeat(2000);
    let huge_array = [&[10, 0xff, 0xff, 0xff, 0xff][..], &many].concat();
    let table: &[(&[u8], Error)] = &[
        (&[0, 1, 2], Error::CutOff),
        (&[2, 0xff, 0xff, 1], Error::CutOff),
        (&[12, 0, 1, 0xff, 0xff, 1], Error::CutOff),
        (&[12, 0xff, 0xff, 0xff, 0xff, 1], Error::TooMuchText),
        (&[3, 0, 1, b'a'], Error::CutOff),
        (&[10, 0xff, 0xff, 0xff, 0xff], Error::CutOff),
        (&[4], Error::Marker(4)),
        (&[9], Error::Marker(9)),
        (&[200], Error::Marker(200)),
        (&deep, Error::Depth),
        (&deep_arrays, Error::Depth),
        (&deep_amf3, Error::Depth),
        (&many, Error::TooMany),
        (&huge_array, Error::TooMany),
        (&[17, 99], Error::Marker(99)),
        (&[17, 6, 2], Error::Reference),
        (&[17, 10, 1 | 4], Error::Reference),
        (&[17, 10, 7], Error::Marker(10)),
        (&[17, 12, 0xff, 0xff, 0xff, 0xff], Error::CutOff),
        (&[17, 15, 0xff, 0xff, 0xff, 0xff, 0], Error::CutOff),
    ];
    for (input, error) in table {
        assert_eq!(
            decoded(input),
            Err(*error),
            "{:x?}",
            &input[..input.len().min(12)]
        );
    }
}

#[test]
fn repeated_references_cannot_multiply_text() {
    let text = vec![b'x'; 8000];
    // An AMF3 array of 1000 strings, all but the first a reference to it.
    let mut input = vec![17, 9, 0x8f, 0x51, 1, 6, 0xfd, 0x01];
    let length = 8000u32 << 1 | 1;
    let at = input.len() - 2;
    input[at] = u8::try_from(length >> 7 & 0x7f).unwrap() | 0x80;
    input[at + 1] = u8::try_from(length & 0x7f).unwrap();
    assert_eq!(length >> 14, 0);
    input.extend(&text);
    input.extend([6, 0].repeat(999));
    assert_eq!(decoded(&input), Err(Error::TooMuchText));
}

#[test]
fn amf3_values_inside_amf0_are_read() {
    let table: &[(&[u8], Value)] = &[
        (&[17, 3], Value::Boolean(true)),
        (&[17, 4, 0x81, 0x00], Value::Number(128.0)),
        (&[17, 4, 0xff, 0xff, 0xff, 0xff], Value::Number(-1.0)),
        (&[17, 6, 5, b'h', b'i'], "hi".into()),
        (&[17, 5, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0], Value::Number(1.0)),
        (
            &[17, 9, 5, 1, 6, 3, b'a', 6, 0],
            Value::StrictArray(vec!["a".into(), "a".into()]),
        ),
        (
            &[17, 10, 0x0b, 1, 3, b'k', 3, 1],
            Value::object([("k", Value::Boolean(true))]),
        ),
        (
            &[17, 10, 0x13, 1, 3, b'k', 2],
            Value::object([("k", Value::Boolean(false))]),
        ),
        (&[17, 12, 5, 1, 2], Value::Undefined),
        (&[17, 13, 3, 0, 0, 0, 0, 1], Value::Undefined),
    ];
    for (input, value) in table {
        assert_eq!(
            decoded(input).unwrap(),
            std::slice::from_ref(value),
            "{input:x?}"
        );
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<i32>().prop_map(|n| Value::Number(n.into())),
        any::<bool>().prop_map(Value::Boolean),
        ".{0,20}".prop_map(Value::String),
        ".{0,20}".prop_map(Value::Xml),
        any::<u32>().prop_map(|n| Value::Date(n.into())),
        Just(Value::RawString(vec![0xff, 1])),
        Just(Value::Null),
        Just(Value::Undefined),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let properties = prop::collection::vec(("[a-z]{1,8}", inner.clone()), 0..5);
        prop_oneof![
            properties.clone().prop_map(Value::Object),
            properties.prop_map(Value::EcmaArray),
            prop::collection::vec(inner, 0..5).prop_map(Value::StrictArray),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_alike(values in prop::collection::vec(value(), 0..5)) {
        let bytes: Vec<u8> = values.iter().flat_map(encoded).collect();
        prop_assert_eq!(decoded(&bytes).unwrap(), values);
    }

    #[test]
    fn every_cut_of_a_value_is_an_error(value in value()) {
        let bytes = encoded(&value);
        for end in 1..bytes.len() {
            prop_assert_eq!(decoded(&bytes[..end]), Err(Error::CutOff));
        }
    }

    #[test]
    fn arbitrary_bytes_are_survived(
        marker in 0u8..18,
        input in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = decoded(&input);
        let _ = decoded(&[&[17, marker][..], &input].concat());
        let _ = decoded(&[&[marker][..], &input].concat());
    }
}
