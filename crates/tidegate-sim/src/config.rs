//! What a simulated vendor is told about itself: accounts, domains, and the choices its
//! documentation leaves open.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use tidegate_core::Secret;

use crate::operation::Operation;

/// Whose API is spoken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
pub enum Vendor {
    /// Wangsu (and its CDNetworks brand).
    #[serde(rename = "ws")]
    Wangsu,
    /// Alibaba Cloud Live.
    #[serde(rename = "aliyun")]
    Aliyun,
    /// Tencent Cloud CSS.
    #[serde(rename = "tencent")]
    Tencent,
    /// Huawei Cloud Live.
    #[serde(rename = "huawei")]
    Huawei,
}

impl Vendor {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 4] = [Self::Wangsu, Self::Aliyun, Self::Tencent, Self::Huawei];

    /// The name used in configuration and on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wangsu => "ws",
            Self::Aliyun => "aliyun",
            Self::Tencent => "tencent",
            Self::Huawei => "huawei",
        }
    }
}

impl std::str::FromStr for Vendor {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        Self::ALL
            .into_iter()
            .find(|vendor| vendor.name() == text)
            .ok_or_else(|| ConfigError::Vendor(text.to_owned()))
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No such vendor.
    #[error("{0:?} is no vendor: use ws, aliyun, tencent or huawei")]
    Vendor(String),
    /// The text is not TOML, or has a field that is unknown or of another type.
    #[error("not a usable configuration: {0}")]
    Toml(#[from] toml::de::Error),
}

/// A simulated vendor.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Whose API.
    pub vendor: Vendor,
    /// Customers.
    #[serde(default)]
    pub accounts: Vec<Account>,
    /// Accelerated domains.
    #[serde(default)]
    pub domains: Vec<Domain>,
    /// How far the vendor's clock is ahead of the time source, in seconds.
    #[serde(default)]
    pub clock_offset_s: i64,
    /// Seed of every random choice (fault probabilities, request ids).
    #[serde(default)]
    pub seed: u64,
    /// Tencent only: bans count by domain, app and stream, not by stream name alone.
    #[serde(default)]
    pub strict_names: bool,
    /// What a ban of a banned stream does. Not documented by any vendor; without a choice Wangsu
    /// and Tencent move the end, Alibaba (`ConfigAlreadyExists`) and Huawei (`LIVE.103011018`) refuse.
    #[serde(default)]
    pub forbid_again: Option<ForbidAgain>,
    /// What a resume of a stream that is not banned does. Not documented either.
    #[serde(default)]
    pub resume_nothing: ResumeNothing,
    /// What a day is, for daily budgets.
    #[serde(default)]
    pub day: Day,
    /// Other limits than the vendor's, by the name of the budget (see [`crate::Usage::budget`]).
    #[serde(default)]
    pub limits: BTreeMap<String, u32>,
    /// Longest list of bans; without it 10,000 at Alibaba and no limit elsewhere.
    #[serde(default)]
    pub capacity: Option<usize>,
    /// Rows of the journal that are kept; counters go on for ever.
    #[serde(default = "default_journal_rows")]
    pub journal_rows: usize,
}

fn default_journal_rows() -> usize {
    200_000
}

impl Config {
    /// A vendor without customers.
    pub fn new(vendor: Vendor) -> Self {
        Self {
            vendor,
            accounts: Vec::new(),
            domains: Vec::new(),
            clock_offset_s: 0,
            seed: 0,
            strict_names: false,
            forbid_again: None,
            resume_nothing: ResumeNothing::default(),
            day: Day::default(),
            limits: BTreeMap::new(),
            capacity: None,
            journal_rows: default_journal_rows(),
        }
    }

    /// Reads TOML.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        Ok(toml::from_str(text)?)
    }

    pub(crate) fn forbid_again(&self) -> ForbidAgain {
        self.forbid_again.unwrap_or(match self.vendor {
            Vendor::Wangsu | Vendor::Tencent => ForbidAgain::MoveEnd,
            Vendor::Aliyun | Vendor::Huawei => ForbidAgain::Refuse,
        })
    }

    pub(crate) fn capacity(&self) -> Option<usize> {
        self.capacity
            .or((self.vendor == Vendor::Aliyun).then_some(10_000))
    }
}

/// A ban of a banned stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForbidAgain {
    /// Succeeds, and the end is the newer call's.
    MoveEnd,
    /// Is refused as already there; the end stays.
    Refuse,
}

/// A resume of a stream that is not banned.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResumeNothing {
    /// Succeeds.
    #[default]
    Succeed,
    /// Is refused.
    Refuse,
}

/// When a daily budget starts over. No vendor says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Day {
    /// Any 24 hours: the harshest reading, so a client that fits it fits the others.
    #[default]
    Rolling,
    /// Midnight at UTC+8.
    Beijing,
}

/// A customer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Name; the user name of Wangsu's account and apiKey scheme.
    pub name: String,
    /// Its access keys. Two of them while one is being rotated out.
    #[serde(default)]
    pub keys: Vec<Key>,
    /// Wangsu only: the apiKey of the account and apiKey scheme.
    #[serde(default, deserialize_with = "optional_secret")]
    pub api_key: Option<Secret>,
    /// Huawei only: the project that its paths must name.
    #[serde(default)]
    pub project_id: Option<String>,
    /// What its keys may do.
    #[serde(default)]
    pub permission: Permission,
}

impl Account {
    /// A customer with one key and full rights.
    pub fn new(name: &str, key_id: &str, secret: &str) -> Self {
        Self {
            name: name.to_owned(),
            keys: vec![Key::new(key_id, secret)],
            api_key: None,
            project_id: None,
            permission: Permission::Full,
        }
    }
}

/// An access key.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// The public half.
    pub id: String,
    /// The secret half.
    #[serde(deserialize_with = "secret")]
    pub secret: Secret,
    /// Temporary credentials: the token that must come along.
    #[serde(default, deserialize_with = "optional_secret")]
    pub token: Option<Secret>,
    /// Known, but no longer good.
    #[serde(default)]
    pub expired: bool,
}

impl Key {
    /// A permanent key.
    pub fn new(id: &str, secret: &str) -> Self {
        Self {
            id: id.to_owned(),
            secret: Secret::new(secret.to_owned()),
            token: None,
            expired: false,
        }
    }
}

/// What a customer's keys may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Permission {
    /// Everything.
    #[default]
    Full,
    /// Lists and states, no bans.
    Read,
    /// Nothing of this product.
    None,
}

impl Permission {
    pub(crate) fn allows(self, operation: Operation) -> bool {
        match self {
            Self::Full => true,
            Self::Read => operation.is_read(),
            Self::None => false,
        }
    }
}

/// An accelerated domain.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Domain {
    /// Where publishers go; the name that bans use.
    pub publish: String,
    /// Where players go; Alibaba's lists are asked by this one. Without it, the publish domain.
    #[serde(default)]
    pub play: Option<String>,
    /// The account that owns it; without it, every account does.
    #[serde(default)]
    pub account: Option<String>,
}

impl Domain {
    /// A domain that every account owns.
    pub fn new(publish: &str, play: Option<&str>) -> Self {
        Self {
            publish: publish.to_owned(),
            play: play.map(str::to_owned),
            account: None,
        }
    }

    pub(crate) fn play_name(&self) -> &str {
        self.play.as_deref().unwrap_or(&self.publish)
    }

    pub(crate) fn owned_by(&self, account: &str) -> bool {
        self.account.as_deref().is_none_or(|owner| owner == account)
    }
}

fn secret<'de, D: Deserializer<'de>>(input: D) -> Result<Secret, D::Error> {
    String::deserialize(input).map(Secret::new)
}

fn optional_secret<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Secret>, D::Error> {
    Ok(Option::<String>::deserialize(input)?.map(Secret::new))
}
