//! A name has one canonical form or none, and writing that form another way changes nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate_core::StreamId;
use tidegate_core::name::canonical;

fuzz_target!(|data: (&str, &str)| {
    let (app, name) = data;
    let Ok(named) = canonical(app, name) else {
        return;
    };
    let stream = named.stream.to_string();
    assert!(StreamId::parse(&stream).is_ok());
    let encoded: String = stream.bytes().map(|byte| format!("%{byte:02x}")).collect();
    for alias in [
        stream.clone(),
        format!("/{stream}/"),
        format!("flv:{stream}?x=1"),
        format!("mp4:/{stream}"),
        encoded,
    ] {
        let again = canonical("live", &alias).expect("an alias of a valid name");
        assert_eq!(again.stream, named.stream, "{alias}");
    }
});
