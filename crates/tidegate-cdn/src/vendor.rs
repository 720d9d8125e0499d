//! The vendors and their signature schemes, by the words used on the wire and the command line.

use std::fmt;

/// A CDN vendor.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Vendor {
    /// Wangsu, also under its CDNetworks brand.
    Ws,
    /// Alibaba Cloud Live.
    Aliyun,
    /// Tencent Cloud CSS.
    Tencent,
    /// Huawei Cloud Live.
    Huawei,
}

impl Vendor {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ws, Self::Aliyun, Self::Tencent, Self::Huawei];

    /// The `CdnType` of the Server API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ws => "ws",
            Self::Aliyun => "aliyun",
            Self::Tencent => "tencent",
            Self::Huawei => "huawei",
        }
    }

    /// From the `CdnType`; exact spelling.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|vendor| vendor.word() == word)
    }

    /// The name as people say it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ws => "Wangsu",
            Self::Aliyun => "Alibaba Cloud",
            Self::Tencent => "Tencent Cloud",
            Self::Huawei => "Huawei Cloud",
        }
    }

    /// The schemes the vendor takes; the first is the default.
    pub fn schemes(self) -> &'static [AuthScheme] {
        match self {
            Self::Ws => &[AuthScheme::Cnc, AuthScheme::ApiKey],
            Self::Aliyun => &[AuthScheme::Acs3, AuthScheme::RpcV1],
            Self::Tencent => &[AuthScheme::Tc3],
            Self::Huawei => &[AuthScheme::SdkHmac],
        }
    }
}

impl fmt::Display for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// How a request is signed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AuthScheme {
    /// Wangsu, access key and secret key: `CNC-HMAC-SHA256`.
    Cnc,
    /// Wangsu, account and apiKey: Basic with an HMAC-SHA1 of the date.
    ApiKey,
    /// Alibaba Cloud, current: `ACS3-HMAC-SHA256`.
    Acs3,
    /// Alibaba Cloud, previous: RPC v1 with HMAC-SHA1.
    RpcV1,
    /// Tencent Cloud: `TC3-HMAC-SHA256`.
    Tc3,
    /// Huawei Cloud: `SDK-HMAC-SHA256`.
    SdkHmac,
}

impl AuthScheme {
    const ALL: [Self; 6] = [
        Self::Cnc,
        Self::ApiKey,
        Self::Acs3,
        Self::RpcV1,
        Self::Tc3,
        Self::SdkHmac,
    ];

    /// The word for `--auth` and the ledger.
    pub fn word(self) -> &'static str {
        match self {
            Self::Cnc => "cnc-hmac-sha256",
            Self::ApiKey => "api-key",
            Self::Acs3 => "acs3-hmac-sha256",
            Self::RpcV1 => "rpc-v1",
            Self::Tc3 => "tc3-hmac-sha256",
            Self::SdkHmac => "sdk-hmac-sha256",
        }
    }

    /// From [`AuthScheme::word`], in any case.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|scheme| scheme.word().eq_ignore_ascii_case(word))
    }
}

impl fmt::Display for AuthScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back() {
        for vendor in Vendor::ALL {
            assert_eq!(Vendor::parse(vendor.word()), Some(vendor));
            for scheme in vendor.schemes() {
                assert_eq!(AuthScheme::parse(scheme.word()), Some(*scheme));
            }
        }
        assert_eq!(Vendor::parse("origin"), None);
        assert_eq!(
            AuthScheme::parse("ACS3-HMAC-SHA256"),
            Some(AuthScheme::Acs3)
        );
        assert_eq!(AuthScheme::parse("basic"), None);
    }
}
