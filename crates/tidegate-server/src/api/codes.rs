//! Every `Code` that the Server API answers with, in one table.

/// A return code on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Code {
    Success,
    NotRecorded,
    Parameter,
    CdnAuth,
    RelayAuth,
    TooOften,
    RtcAuth,
    AppIdFormat,
    TimestampEmpty,
    TimestampFormat,
    SignatureExpired,
    SignatureWrong,
    ActionEmpty,
    ActionUnsupported,
    NonceEmpty,
    SignatureEmpty,
    AppUnknown,
    VersionEmpty,
    VersionUnsupported,
    NotEnabled,
}

/// The table: each code with its number. The order is that of [`Code`].
const TABLE: [(Code, u32); Code::COUNT] = [
    (Code::Success, 0),
    (Code::NotRecorded, 1),
    (Code::Parameter, 2),
    (Code::CdnAuth, 3),
    (Code::RelayAuth, 5003),
    (Code::TooOften, 30002),
    (Code::RtcAuth, 40005),
    (Code::AppIdFormat, 100_000_001),
    (Code::TimestampEmpty, 100_000_002),
    (Code::TimestampFormat, 100_000_003),
    (Code::SignatureExpired, 100_000_004),
    (Code::SignatureWrong, 100_000_005),
    (Code::ActionEmpty, 100_000_006),
    (Code::ActionUnsupported, 100_000_007),
    (Code::NonceEmpty, 100_000_008),
    (Code::SignatureEmpty, 100_000_009),
    (Code::AppUnknown, 100_000_010),
    (Code::VersionEmpty, 100_000_013),
    (Code::VersionUnsupported, 100_000_014),
    (Code::NotEnabled, 100_000_017),
];

impl Code {
    /// How many there are.
    pub(crate) const COUNT: usize = 20;

    /// Position in the table.
    pub(crate) fn index(self) -> usize {
        self as usize
    }

    /// The number on the wire.
    pub(crate) fn number(self) -> u32 {
        TABLE.get(self.index()).map_or(1, |(_, number)| *number)
    }

    /// All numbers, in the order of [`Code::index`].
    pub(crate) fn numbers() -> impl Iterator<Item = u32> {
        TABLE.iter().map(|(_, number)| *number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_in_its_own_row() {
        for (at, (code, number)) in TABLE.iter().enumerate() {
            assert_eq!(code.index(), at, "{code:?}");
            assert_eq!(code.number(), *number);
        }
    }

    #[test]
    fn the_integrators_page_explains_every_code() {
        let page = include_str!("../../../../docs/server-api.md");
        for number in Code::numbers() {
            assert!(page.contains(&format!("| {number} |")), "code {number}");
        }
    }
}
