//! The list of all keys.

use super::Config;
use super::codec::{
    Address, AuthCodesWord, Codec, Count, CountOrZero, Flag, Level, List, LogFormatWord,
    OptionalPath, Path, Raw, Size, Text, Time, TimeOrZero, Url, Volume, WholeTime,
};

/// One key: how it is set and printed.
pub(crate) struct Setting {
    /// Dotted name; the last part is the key, the rest the section.
    pub(crate) key: &'static str,
    /// Sets it, or says what was expected.
    pub(super) set: fn(&mut Config, &Raw<'_>) -> Result<(), String>,
    /// Its value, as TOML.
    pub(crate) show: fn(&Config) -> String,
}

macro_rules! setting {
    ($codec:ty, $first:ident $(. $rest:ident)*) => {
        Setting {
            key: concat!(stringify!($first) $(, ".", stringify!($rest))*),
            set: |config, raw| {
                config.$first$(.$rest)* = <$codec as Codec<_>>::read_or_say(raw)?;
                Ok(())
            },
            show: |config| <$codec as Codec<_>>::show(&config.$first$(.$rest)*),
        }
    };
}

/// Every key, section by section.
pub(crate) const SETTINGS: &[Setting] = &[
    setting!(Path, data_dir),
    setting!(Address, listen.rtmp),
    setting!(Address, listen.media),
    setting!(Address, listen.api),
    setting!(Address, listen.webrtc),
    setting!(Level, log.level),
    setting!(LogFormatWord, log.format),
    setting!(WholeTime, server_api.default_forbid),
    setting!(Time, server_api.answer_within),
    setting!(AuthCodesWord, server_api.auth_codes),
    setting!(CountOrZero, server_api.rates.forbid_cdn_live_stream),
    setting!(CountOrZero, server_api.rates.resume_cdn_live_stream),
    setting!(CountOrZero, server_api.rates.query_forbid_cdn_live_stream),
    setting!(Flag, api.allow_plain_http),
    setting!(Text, api.public_host),
    setting!(Count, api.max_connections),
    setting!(Time, api.header_timeout),
    setting!(Time, api.body_timeout),
    setting!(Time, api.write_timeout),
    setting!(Time, api.drain),
    setting!(Time, cdn.connect_timeout),
    setting!(Time, cdn.read_timeout),
    setting!(Time, cdn.total_timeout),
    setting!(TimeOrZero, cdn.drift_check),
    setting!(Time, probe.alarm_after),
    setting!(Volume, probe.look_bytes),
    setting!(Volume, probe.daily_bytes),
    setting!(Url, ledger.url),
    setting!(OptionalPath, secrets.key_file),
    setting!(Count, origin.max_connections),
    setting!(Count, origin.publishes_per_connection),
    setting!(Time, origin.handshake_timeout),
    setting!(Time, origin.command_timeout),
    setting!(Time, origin.publish_read_timeout),
    setting!(Time, origin.head_timeout),
    setting!(Time, origin.write_timeout),
    setting!(Time, origin.player_queue_time),
    setting!(Size, origin.player_queue_bytes),
    setting!(Size, origin.gop_bytes),
    setting!(Time, origin.gop_duration),
    setting!(Size, origin.max_message),
    setting!(Size, origin.send_buffer),
    setting!(TimeOrZero, origin.max_batch),
    setting!(CountOrZero, origin.distributors),
    setting!(Time, origin.cut_grace),
    setting!(Time, origin.drain),
    setting!(Time, origin.linger),
    setting!(Time, origin.grace),
    setting!(Text, origin.cors_allow_origin),
    setting!(List, origin.websocket_origins),
];

/// The key that a wrong one was probably meant to be.
pub(super) fn nearest(wrong: &str) -> Option<&'static str> {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let cost = |key: &'static str| {
        // The right key in the wrong section is a likelier slip than its distance tells.
        let whole = distance(wrong, key);
        if last(wrong) == last(key) {
            whole.min(1)
        } else {
            whole
        }
    };
    SETTINGS
        .iter()
        .map(|setting| (cost(setting.key), setting.key))
        .min()
        .filter(|(cost, key)| *cost <= 1 + key.len() / 4)
        .map(|(_, key)| key)
}

/// Levenshtein distance over bytes, with long inputs cut: it serves hints only.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<u8> = right.bytes().take(80).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().take(80).enumerate() {
        let mut diagonal = i;
        let mut before = i + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(&right) {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = *cell;
            *cell = replaced.min(before + 1).min(diagonal + 1);
            before = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}
