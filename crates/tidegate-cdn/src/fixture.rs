//! Accounts, objects and canned answers for the tests of the vendors' modules.

use tidegate_core::{Secret, StreamId, UnixMs};

use crate::account::{Account, AccountSpec};
use crate::failure::{ErrorClass, Failure};
use crate::object::{Matching, Site, VendorObject};
use crate::operation::{Answer, Operation, Page, Reply};
use crate::vendor::Vendor;
use crate::wire::{HttpRequest, HttpResponse, build, read};

pub(crate) const NOW: UnixMs = UnixMs(1_772_698_150_000);
pub(crate) const SECRET: &str = "hunter2/hunter2+key";

pub(crate) fn spec(vendor: Vendor) -> AccountSpec {
    AccountSpec {
        name: "main".into(),
        vendor,
        access_key_id: "AKID0001".into(),
        secret: Secret::new(SECRET.into()),
        security_token: None,
        scheme: None,
        region: (vendor == Vendor::Huawei).then(|| "cn-north-4".into()),
        project_id: (vendor == Vendor::Huawei).then(|| "0123abcd".into()),
        endpoint: None,
        matching: Matching::NameOnly,
    }
}

pub(crate) fn site() -> Site {
    Site::new("push.example.com", Some("play.example.com"), "live").unwrap()
}

pub(crate) struct Fixture {
    pub(crate) account: Account,
    pub(crate) object: VendorObject,
    pub(crate) site: Site,
}

impl Fixture {
    pub(crate) fn of(vendor: Vendor) -> Self {
        Self::with(spec(vendor))
    }

    pub(crate) fn with(spec: AccountSpec) -> Self {
        let account = Account::new(spec).unwrap();
        let site = site();
        let object = account.object(&site, &StreamId::parse("room1001").unwrap());
        Self {
            account,
            object,
            site,
        }
    }

    pub(crate) fn forbid(&self) -> Operation<'_> {
        Operation::Forbid {
            object: &self.object,
            until: NOW.plus(std::time::Duration::from_secs(3600)),
        }
    }

    pub(crate) fn list(&self) -> Operation<'_> {
        Operation::ListForbidden {
            site: &self.site,
            page: Page::FIRST,
        }
    }

    pub(crate) fn online(&self) -> Operation<'_> {
        Operation::Online {
            site: &self.site,
            page: Page::FIRST,
        }
    }

    pub(crate) fn build(&self, operation: Operation<'_>) -> Result<HttpRequest, Failure> {
        build(&operation, &self.account, NOW, "0f0f")
    }

    pub(crate) fn read(
        &self,
        operation: Operation<'_>,
        status: u16,
        body: &str,
    ) -> Result<Answer<Reply>, Failure> {
        self.read_with(operation, status, &[], body)
    }

    pub(crate) fn read_with(
        &self,
        operation: Operation<'_>,
        status: u16,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Answer<Reply>, Failure> {
        let headers = headers
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        let response = HttpResponse {
            status,
            headers: headers.collect(),
            body: body.as_bytes().to_vec(),
        };
        read(&operation, &self.account, &response, NOW)
    }

    pub(crate) fn class(&self, operation: Operation<'_>, status: u16, body: &str) -> ErrorClass {
        match self.read(operation, status, body) {
            Ok(answer) => panic!("{status} {body} is a success: {answer:?}"),
            Err(failure) => failure.class,
        }
    }

    /// What no vendor's API answers is judged by its status, and never a success.
    pub(crate) fn assert_strangers_are_judged_by_status(&self) {
        use crate::failure::Refusal::{Credentials, Endpoint, Parameter, Permission};
        let retry = ErrorClass::Retry { after: None };
        for (status, want) in [
            (301, ErrorClass::Permanent(Endpoint)),
            (400, ErrorClass::Permanent(Parameter)),
            (401, ErrorClass::Permanent(Credentials)),
            (403, ErrorClass::Permanent(Permission)),
            (404, ErrorClass::Permanent(Endpoint)),
            (408, retry),
            (429, ErrorClass::Throttled { after: None }),
            (500, retry),
            (502, ErrorClass::Unknown),
            (503, retry),
            (504, ErrorClass::Unknown),
        ] {
            for body in ["", "<html>", "[]", "null", "{}", "\u{1b}[2J"] {
                let failure = self.read(self.forbid(), status, body).unwrap_err();
                assert_eq!(failure.class, want, "{status} {body:?}");
                assert!(!failure.to_string().contains('\u{1b}'));
            }
        }
        for body in ["<html>", "[]", "{", "\"ok\"", &"[".repeat(100_000)] {
            assert_eq!(
                self.class(self.list(), 200, body),
                ErrorClass::Unknown,
                "{body:.10}"
            );
        }
    }
}
