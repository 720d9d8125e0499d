//! What a ban is keyed by at each vendor.

use std::fmt;

use tidegate_core::StreamId;
use tidegate_core::text::printable;

use crate::endpoint::is_host_name;
use crate::vendor::Vendor;

/// Where the streams of one target live at a vendor.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Site {
    publish_domain: String,
    play_domain: Option<String>,
    rtmp_app: String,
}

/// Why a site is not one that can be named to a vendor.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ObjectError {
    /// Not a DNS name.
    #[error("{0:?} is not a domain name, as in push.example.com")]
    Domain(String),
    /// An RTMP app name that a vendor would read as something else.
    #[error(
        "{0:?} is not an RTMP app name: 1 to 128 characters, not a lone *, no / ? # and no \
         control characters"
    )]
    App(String),
}

impl Site {
    /// The longest RTMP app name that every vendor takes, in characters.
    pub const MAX_APP: usize = 128;

    /// Checks the names. Domains are lower-cased. A lone `*` is refused since Alibaba Cloud would
    /// read it as every app.
    pub fn new(
        publish_domain: &str,
        play_domain: Option<&str>,
        rtmp_app: &str,
    ) -> Result<Self, ObjectError> {
        let stray = |c: char| c.is_control() || matches!(c, '/' | '?' | '#');
        let length = rtmp_app.chars().count();
        if !(1..=Self::MAX_APP).contains(&length) || rtmp_app == "*" || rtmp_app.contains(stray) {
            return Err(ObjectError::App(printable(rtmp_app, 140)));
        }
        Ok(Self {
            publish_domain: domain(publish_domain)?,
            play_domain: play_domain.map(domain).transpose()?,
            rtmp_app: rtmp_app.to_owned(),
        })
    }

    /// Where publishers push to.
    pub fn publish_domain(&self) -> &str {
        &self.publish_domain
    }

    /// Where players pull from. Alibaba Cloud keys its lists by it.
    pub fn play_domain(&self) -> Option<&str> {
        self.play_domain.as_deref()
    }

    /// RTMP app name.
    pub fn rtmp_app(&self) -> &str {
        &self.rtmp_app
    }
}

fn domain(text: &str) -> Result<String, ObjectError> {
    let lower = text.to_ascii_lowercase();
    match is_host_name(&lower) {
        true => Ok(lower),
        false => Err(ObjectError::Domain(printable(text, 260))),
    }
}

/// What a vendor compares when it decides whether a publisher is banned.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Matching {
    /// Domain, app and stream.
    Strict,
    /// The stream name alone, across the whole account: Tencent's default.
    NameOnly,
}

/// One stream as a vendor's ban sees it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct VendorObject {
    vendor: Vendor,
    account: String,
    site: Site,
    stream: StreamId,
    matching: Matching,
}

impl VendorObject {
    /// `account` is the account's name here, not its key id. `matching` counts at Tencent only;
    /// everywhere else it is [`Matching::Strict`].
    pub fn new(
        vendor: Vendor,
        account: &str,
        site: Site,
        stream: StreamId,
        matching: Matching,
    ) -> Self {
        let matching = match vendor {
            Vendor::Tencent => matching,
            _ => Matching::Strict,
        };
        Self {
            vendor,
            account: account.to_owned(),
            site,
            stream,
            matching,
        }
    }

    /// Which vendor.
    pub fn vendor(&self) -> Vendor {
        self.vendor
    }

    /// Name of the account.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The target's domain and app.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// The stream.
    pub fn stream(&self) -> &StreamId {
        &self.stream
    }

    /// The key under which calls are serialised and wants of several owners are merged.
    pub fn key(&self) -> ObjectKey {
        let place = match self.matching {
            Matching::NameOnly => None,
            Matching::Strict => {
                Some((self.site.publish_domain.clone(), self.site.rtmp_app.clone()))
            }
        };
        ObjectKey {
            vendor: self.vendor,
            account: self.account.clone(),
            place,
            stream: self.stream.clone(),
        }
    }

    /// What else a ban of this object hits, in a sentence; `None` where it hits this stream only.
    pub fn blast_radius(&self) -> Option<String> {
        (self.matching == Matching::NameOnly).then(|| {
            format!(
                "Tencent compares the stream name alone: this acts on {} under every domain and \
                 app of account {}, until Tencent's support switches on strict matching there \
                 and the account is marked as strict here",
                self.stream, self.account
            )
        })
    }
}

/// Identity of a [`VendorObject`]: two objects with equal keys are one ban at the vendor.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ObjectKey {
    vendor: Vendor,
    account: String,
    place: Option<(String, String)>,
    stream: StreamId,
}

impl fmt::Display for ObjectKey {
    /// `vendor/account/domain/app/stream`, with `*` for what the vendor does not compare. Texts
    /// are escaped; accounts and apps hold no slash, so the form is unique.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let account = printable(&self.account, 100);
        let (domain, app) = match &self.place {
            Some((domain, app)) => (domain.as_str(), printable(app, Site::MAX_APP)),
            None => ("*", "*".to_owned()),
        };
        write!(
            f,
            "{}/{account}/{domain}/{app}/{}",
            self.vendor, self.stream
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(vendor: Vendor, domain: &str, app: &str, matching: Matching) -> VendorObject {
        let site = Site::new(domain, None, app).unwrap();
        VendorObject::new(
            vendor,
            "main",
            site,
            StreamId::parse("room").unwrap(),
            matching,
        )
    }

    #[test]
    fn tencent_bans_by_name_alone_until_told_otherwise() {
        let wide = object(Vendor::Tencent, "a.example.com", "x", Matching::NameOnly);
        let also = object(Vendor::Tencent, "b.example.com", "y", Matching::NameOnly);
        assert_eq!(wide.key(), also.key());
        assert_eq!(wide.key().to_string(), "tencent/main/*/*/room");
        let words = wide.blast_radius().unwrap();
        assert!(words.contains("room under every domain and app of account main"));
        let strict = object(Vendor::Tencent, "a.example.com", "x", Matching::Strict);
        assert_ne!(strict.key(), wide.key());
        assert_eq!(strict.blast_radius(), None);
    }

    #[test]
    fn the_others_ban_one_stream_under_one_domain_and_app() {
        for vendor in [Vendor::Ws, Vendor::Aliyun, Vendor::Huawei] {
            let one = object(vendor, "A.Example.com", "x", Matching::NameOnly);
            assert_eq!(
                one.key(),
                object(vendor, "a.example.com", "x", Matching::Strict).key()
            );
            assert_ne!(
                one.key(),
                object(vendor, "b.example.com", "x", Matching::Strict).key()
            );
            assert_eq!(one.blast_radius(), None);
        }
    }

    #[test]
    fn wildcards_and_url_marks_are_no_names() {
        for app in ["", "*", "a/b", "a?b", "a#b", "a\nb", &"a".repeat(129)] {
            assert!(Site::new("x.com", None, app).is_err(), "{app:?}");
        }
        for domain in ["", "*", "*.x.com", "x.com/y", "x.com:80", "x y", "10.0.0.1"] {
            assert!(Site::new(domain, None, "live").is_err(), "{domain:?}");
            assert!(
                Site::new("x.com", Some(domain), "live").is_err(),
                "{domain:?}"
            );
        }
        assert!(Site::new("x.com", None, "直播 a+b~c%d*").is_ok());
    }
}
