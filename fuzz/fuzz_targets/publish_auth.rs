//! No query is accepted that was not signed, and every signed one is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_core::Secret;
use tidegate_core::publish_auth::{Recipe, sign, verify};

fuzz_target!(|data: (&str, &str, i64)| {
    let (query, stream, now) = data;
    let key = Secret::new("a key that no input can guess".to_owned());
    assert!(verify(query, [&key], "live", stream, now).is_err());
    // Times of more than 15 hex digits are malformed.
    let now = now & 0x0fff_ffff_ffff_ffff;
    for recipe in [Recipe::Tencent, Recipe::Wangsu, Recipe::Huawei] {
        let signed = sign(recipe, &key, "live", stream, now);
        assert!(verify(&signed, [&key], "live", stream, now).is_ok());
        // An unsigned part may stand beside a signed one, unless it claims to be signed too.
        let _ = verify(&format!("{query}&{signed}"), [&key], "live", stream, now);
    }
});
