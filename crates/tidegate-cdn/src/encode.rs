//! Percent-encoding as signatures want it: RFC 3986 with nothing but the unreserved characters
//! left alone, upper-case hex, a space as `%20`.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// `text` with everything but `A-Z a-z 0-9 - _ . ~` encoded.
pub fn component(text: &str) -> String {
    percent_encode(text.as_bytes(), RESERVED).to_string()
}

/// A decoded path with each segment encoded and the slashes kept.
pub fn path(decoded: &str) -> String {
    let segments: Vec<String> = decoded.split('/').map(component).collect();
    segments.join("/")
}

/// `name=value` pairs in the given order, encoded and joined by `&`.
pub fn query(pairs: &[(String, String)]) -> String {
    let parts: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", component(name), component(value)))
        .collect();
    parts.join("&")
}

/// As [`query`], sorted by name and then by value, both as they are before encoding: the order
/// in which the vendors' own clients sort.
pub fn sorted_query(pairs: &[(String, String)]) -> String {
    let mut sorted = pairs.to_vec();
    sorted.sort();
    query(&sorted)
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_unreserved_characters_stay() {
        assert_eq!(component("AZaz09-_.~"), "AZaz09-_.~");
        assert_eq!(component("a b+c/d*e%f"), "a%20b%2Bc%2Fd%2Ae%25f");
        assert_eq!(component("直播"), "%E7%9B%B4%E6%92%AD");
        assert_eq!(component("!'()&=?#:@,;$[]\"<>\\^`{|}\0\n"), {
            "%21%27%28%29%26%3D%3F%23%3A%40%2C%3B%24%5B%5D%22%3C%3E%5C%5E%60%7B%7C%7D%00%0A"
        });
        assert_eq!(path("/v1/a b/*"), "/v1/a%20b/%2A");
    }

    #[test]
    fn queries_are_sorted_by_the_plain_names() {
        let pairs = [("b", "2"), ("a", "x y"), ("a", "*"), ("B", "")];
        let pairs = pairs.map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(query(&pairs), "b=2&a=x%20y&a=%2A&B=");
        assert_eq!(sorted_query(&pairs), "B=&a=%2A&a=x%20y&b=2");
    }

    proptest! {
        #[test]
        fn encoding_is_undone_by_decoding(text in any::<String>()) {
            let encoded = component(&text);
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~%".contains(&b);
            prop_assert!(encoded.bytes().all(plain));
            prop_assert_eq!(percent_decode_str(&encoded).decode_utf8().unwrap(), text);
        }

        #[test]
        fn the_order_of_the_pairs_does_not_matter(
            mut pairs in proptest::collection::vec(("[a-z*~]{1,3}", any::<String>()), 0..8)
        ) {
            let before = sorted_query(&pairs);
            pairs.reverse();
            prop_assert_eq!(before, sorted_query(&pairs));
        }
    }
}
