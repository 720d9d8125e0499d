//! Signs and builds requests for a test that drives the vendors' own clients.
//!
//! Reads one case a line from standard input, `{"scheme", "key", "secret", "clock", "nonce",
//! "request", "built"}`, and answers each with one line: `signed` is what the signer
//! of the scheme derives for `request`, `built` is the request that the vendor's module makes of
//! `account` and `operation`. Both are left out where the case has no such part.

#[path = "../tests/common/recorded.rs"]
mod recorded;

use std::error::Error;
use std::io::{BufRead, Write};

use recorded::Recorded;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tidegate_cdn::sign::Key;
use tidegate_cdn::wire::{HttpRequest, build};
use tidegate_cdn::{Account, AccountSpec, AuthScheme, Matching, Operation, Page, Site, Vendor};
use tidegate_core::{Secret, StreamId, UnixMs};

#[derive(Deserialize)]
struct Case {
    scheme: String,
    key: String,
    secret: String,
    clock: i64,
    #[serde(default)]
    nonce: String,
    request: Option<Recorded>,
    built: Option<Wanted>,
}

/// An operation with the account that asks for it.
#[derive(Deserialize)]
struct Wanted {
    vendor: String,
    auth: String,
    host: String,
    token: Option<String>,
    region: Option<String>,
    project: Option<String>,
    operation: String,
    domain: String,
    play: Option<String>,
    app: String,
    stream: String,
    until: Option<i64>,
    #[serde(default)]
    page: u32,
    #[serde(default)]
    size: u32,
}

impl Wanted {
    fn account(&self, case: &Case) -> Result<Account, Box<dyn Error>> {
        Ok(Account::new(AccountSpec {
            name: "main".into(),
            vendor: Vendor::parse(&self.vendor).ok_or("no such vendor")?,
            access_key_id: case.key.clone(),
            secret: Secret::new(case.secret.clone()),
            security_token: self.token.clone().map(Secret::new),
            scheme: Some(AuthScheme::parse(&self.auth).ok_or("no such scheme")?),
            region: self.region.clone(),
            project_id: self.project.clone(),
            endpoint: Some(format!("https://{}", self.host)),
            matching: Matching::Strict,
        })?)
    }

    fn build(&self, case: &Case) -> Result<HttpRequest, Box<dyn Error>> {
        let account = self.account(case)?;
        let site = Site::new(&self.domain, self.play.as_deref(), &self.app)?;
        let object = account.object(&site, &StreamId::parse(&self.stream)?);
        let until = UnixMs::from_seconds(self.until.unwrap_or_default());
        let page = Page {
            number: self.page,
            size: self.size,
        };
        let (object, site) = (&object, &site);
        let operation = match self.operation.as_str() {
            "forbid" => Operation::Forbid { object, until },
            "change_end" => Operation::ChangeEnd { object, until },
            "resume" => Operation::Resume(object),
            "kick" => Operation::Kick(object),
            "list_forbidden" => Operation::ListForbidden { site, page },
            "find_forbidden" => Operation::FindForbidden(object),
            "stream_state" => Operation::StreamState(object),
            "online" => Operation::Online { site, page },
            other => return Err(format!("no operation {other}").into()),
        };
        let now = UnixMs::from_seconds(case.clock);
        Ok(build(&operation, &account, now, &case.nonce)?)
    }
}

fn answer(line: &str) -> Result<Value, Box<dyn Error>> {
    let case: Case = serde_json::from_str(line)?;
    let mut answer = Map::new();
    if let Some(request) = &case.request {
        let key = Key {
            id: &case.key,
            secret: &case.secret,
        };
        let signed = request.sign_again(&case.scheme, key, case.clock)?;
        let signed = json!({
            "canonical_request": signed.canonical_request,
            "string_to_sign": signed.string_to_sign,
            "signature": signed.signature,
            "authorization": signed.authorization,
        });
        answer.insert("signed".into(), signed);
    }
    if let Some(wanted) = &case.built {
        let request = wanted.build(&case)?;
        let built = json!({
            "method": request.method,
            "host": request.host,
            "path": request.path,
            "raw_query": request.raw_query,
            "headers": request.headers,
            "body": String::from_utf8(request.body)?,
        });
        answer.insert("built".into(), built);
    }
    Ok(answer.into())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let answer = answer(&line?).unwrap_or_else(|error| json!({ "error": error.to_string() }));
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}
