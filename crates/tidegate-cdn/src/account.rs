//! A vendor account: who signs, how, and where to.

use std::fmt;

use tidegate_core::text::printable;
use tidegate_core::{Secret, StreamId};

use crate::endpoint::{Endpoint, EndpointError};
use crate::object::{Matching, Site, VendorObject};
use crate::vendor::{AuthScheme, Vendor};

/// What an operator gives to describe an account; [`Account::new`] checks it.
#[derive(Clone, Debug)]
pub struct AccountSpec {
    /// Name here; part of the key of every ban.
    pub name: String,
    /// Whose API.
    pub vendor: Vendor,
    /// Access key id, SecretId or account name.
    pub access_key_id: String,
    /// Secret key, SecretKey or apiKey.
    pub secret: Secret,
    /// Token of temporary credentials.
    pub security_token: Option<Secret>,
    /// `None`: the vendor's current scheme.
    pub scheme: Option<AuthScheme>,
    /// Needed at Huawei; optional at Alibaba Cloud and Tencent.
    pub region: Option<String>,
    /// Needed at Huawei, and differs there by region.
    pub project_id: Option<String>,
    /// `None`: the vendor's own host.
    pub endpoint: Option<String>,
    /// What the vendor compares; counts at Tencent only.
    pub matching: Matching,
}

/// Why a description is not an account. Never quotes a secret.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AccountError {
    /// Empty, too long, or with a slash or an unprintable character.
    #[error("{0:?} is not an account name: 1 to 100 printable characters without a slash")]
    Name(String),
    /// Not what a key id looks like.
    #[error(
        "{0:?} is not an access key id: visible ASCII without spaces, commas, colons and slashes"
    )]
    KeyId(String),
    /// Empty or with characters that no key has.
    #[error("the {0} is empty or has spaces or unprintable characters; give it exactly as issued")]
    Secret(&'static str),
    /// Another vendor's scheme.
    #[error("{vendor} does not take {scheme}; it takes {}", words(vendor.schemes()))]
    Scheme {
        /// The vendor.
        vendor: Vendor,
        /// What was asked for.
        scheme: AuthScheme,
    },
    /// A setting that the vendor does not have, or not under this scheme.
    #[error("{vendor} has no {what}; leave it out")]
    Surplus {
        /// The vendor.
        vendor: Vendor,
        /// Which setting.
        what: &'static str,
    },
    /// A setting that the vendor needs.
    #[error("{vendor} needs a {what}: the one of the region where the publish domain is kept")]
    Missing {
        /// The vendor.
        vendor: Vendor,
        /// Which setting.
        what: &'static str,
    },
    /// Not letters, digits and hyphens.
    #[error("{text:?} is not a {what}: 1 to 63 letters, digits and hyphens")]
    Word {
        /// Which setting.
        what: &'static str,
        /// What came.
        text: String,
    },
    /// The endpoint.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
}

fn words(schemes: &[AuthScheme]) -> String {
    let words: Vec<&str> = schemes.iter().map(|scheme| scheme.word()).collect();
    words.join(" or ")
}

/// A checked account. Prints without its secrets.
#[derive(Clone)]
pub struct Account {
    pub(crate) name: String,
    pub(crate) vendor: Vendor,
    pub(crate) access_key_id: String,
    pub(crate) secret: Secret,
    pub(crate) security_token: Option<Secret>,
    pub(crate) scheme: AuthScheme,
    pub(crate) region: Option<String>,
    pub(crate) project_id: Option<String>,
    pub(crate) endpoint: Endpoint,
    pub(crate) matching: Matching,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("name", &self.name)
            .field("vendor", &self.vendor)
            .field("scheme", &self.scheme)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

impl Account {
    /// Checks a description. What is refused here would otherwise be refused by the vendor, or
    /// break out of a header.
    pub fn new(spec: AccountSpec) -> Result<Self, AccountError> {
        let vendor = spec.vendor;
        check_name(&spec.name)?;
        check_key_id(&spec.access_key_id)?;
        check_secret(&spec.secret, "secret key")?;
        if let Some(token) = &spec.security_token {
            check_secret(token, "security token")?;
        }
        for (what, text) in [("region", &spec.region), ("project id", &spec.project_id)] {
            if let Some(text) = text {
                check_word(what, text)?;
            }
        }
        let scheme = spec.scheme.or(vendor.schemes().first().copied());
        let scheme = scheme.unwrap_or(AuthScheme::Cnc);
        if !vendor.schemes().contains(&scheme) {
            return Err(AccountError::Scheme { vendor, scheme });
        }
        let surplus = |there: bool, what| match there {
            true => Err(AccountError::Surplus { vendor, what }),
            false => Ok(()),
        };
        surplus(
            vendor != Vendor::Huawei && spec.project_id.is_some(),
            "project id",
        )?;
        if vendor == Vendor::Ws {
            surplus(spec.region.is_some(), "region")?;
            surplus(spec.security_token.is_some(), "security token")?;
        }
        if vendor == Vendor::Huawei && spec.project_id.is_none() {
            let what = "project id";
            return Err(AccountError::Missing { vendor, what });
        }
        let endpoint = match &spec.endpoint {
            Some(text) => Endpoint::parse(text)?,
            None => default_endpoint(vendor, spec.region.as_deref())?,
        };
        Ok(Self {
            name: spec.name,
            vendor,
            access_key_id: spec.access_key_id,
            secret: spec.secret,
            security_token: spec.security_token,
            scheme,
            region: spec.region,
            project_id: spec.project_id,
            endpoint,
            matching: spec.matching,
        })
    }

    /// Its name here.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whose API.
    pub fn vendor(&self) -> Vendor {
        self.vendor
    }

    /// How it signs.
    pub fn scheme(&self) -> AuthScheme {
        self.scheme
    }

    /// Where it calls.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// A stream of this account as the vendor's ban sees it.
    pub fn object(&self, site: &Site, stream: &StreamId) -> VendorObject {
        let (site, stream) = (site.clone(), stream.clone());
        VendorObject::new(self.vendor, &self.name, site, stream, self.matching)
    }

    pub(crate) fn secrets(&self) -> impl Iterator<Item = &Secret> {
        std::iter::once(&self.secret).chain(&self.security_token)
    }
}

fn default_endpoint(vendor: Vendor, region: Option<&str>) -> Result<Endpoint, AccountError> {
    let host = match vendor {
        Vendor::Ws => "open.chinanetcenter.com".to_owned(),
        Vendor::Aliyun => "live.aliyuncs.com".to_owned(),
        Vendor::Tencent => "live.tencentcloudapi.com".to_owned(),
        Vendor::Huawei => match region {
            Some(region) => format!("live.{}.myhuaweicloud.com", region.to_ascii_lowercase()),
            None => {
                let what = "region";
                return Err(AccountError::Missing { vendor, what });
            }
        },
    };
    Ok(Endpoint::https(host))
}

fn check_name(name: &str) -> Result<(), AccountError> {
    let length = name.chars().count();
    let plain = |c: char| tidegate_core::text::is_plain(c) && c != '/';
    match (1..=100).contains(&length) && name.chars().all(plain) {
        true => Ok(()),
        false => Err(AccountError::Name(printable(name, 110))),
    }
}

fn check_key_id(id: &str) -> Result<(), AccountError> {
    let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b',' | b':' | b'/');
    match (1..=256).contains(&id.len()) && id.bytes().all(plain) {
        true => Ok(()),
        false => Err(AccountError::KeyId(printable(id, 64))),
    }
}

fn check_secret(secret: &Secret, what: &'static str) -> Result<(), AccountError> {
    let text = secret.expose();
    match (1..=8192).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
        true => Ok(()),
        false => Err(AccountError::Secret(what)),
    }
}

fn check_word(what: &'static str, text: &str) -> Result<(), AccountError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    match (1..=63).contains(&text.len()) && text.bytes().all(plain) {
        true => Ok(()),
        false => {
            let text = printable(text, 64);
            Err(AccountError::Word { what, text })
        }
    }
}

#[cfg(test)]
mod tests;
