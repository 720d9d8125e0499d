//! A request as a vendor's own client sent it, and what the signer of its scheme makes of it.
//! Shared by the recorded vectors and by the example that signs for other programs.

use serde::Deserialize;
use tidegate_cdn::sign::{Key, Parts, Signed, acs3, api_key, cnc, rpc_v1, sdk_hmac, tc3};
use tidegate_cdn::wire::http_date;
use tidegate_core::UnixMs;

/// A request off the wire.
#[derive(Deserialize)]
pub(crate) struct Recorded {
    pub(crate) method: String,
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) raw_query: String,
    /// The query decoded, and the form in the body with it where the scheme signs that too.
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Recorded {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Signs it again at `clock` (unix seconds), over the same headers.
    ///
    /// # Errors
    /// Says which scheme or header is missing or wrong.
    pub(crate) fn sign_again(
        &self,
        scheme: &str,
        key: Key<'_>,
        clock: i64,
    ) -> Result<Signed, String> {
        if self.header("host") != Some(self.host.as_str()) {
            return Err(format!("the Host header is not {}", self.host));
        }
        let authorization = self.header("authorization").unwrap_or_default();
        let signed = authorization.split("SignedHeaders=").nth(1).unwrap_or("");
        let signed: Vec<&str> = signed.split(',').next().unwrap_or("").split(';').collect();
        let others = self
            .headers
            .iter()
            .filter(|(name, _)| !name.eq_ignore_ascii_case("authorization"));
        let headers: Vec<(String, String)> = others.cloned().collect();
        let parts = Parts {
            method: &self.method,
            path: &self.path,
            raw_query: &self.raw_query,
            headers: &headers,
            body: self.body.as_bytes(),
        };
        Ok(match scheme {
            "CNC-HMAC-SHA256" => cnc::sign(parts, &signed, key, clock),
            "Basic base64(HMAC-SHA1(Date))" => {
                let date = http_date(UnixMs::from_seconds(clock)).ok_or("no such date")?;
                if self.header("date") != Some(date.as_str()) {
                    return Err(format!("the date at {clock} is {date}"));
                }
                api_key::sign(key, &date)
            }
            "ACS3-HMAC-SHA256" => acs3::sign(parts, &self.query, &signed, key),
            "RPC v1 HMAC-SHA1" => {
                let pairs = self.query.iter().filter(|(name, _)| name != "Signature");
                let pairs: Vec<(String, String)> = pairs.cloned().collect();
                rpc_v1::sign(&self.method, &pairs, key.secret)
            }
            "TC3-HMAC-SHA256" => tc3::sign(parts, &signed, key, clock, "live"),
            "SDK-HMAC-SHA256" => {
                let date = self.header("x-sdk-date").ok_or("no X-Sdk-Date")?;
                sdk_hmac::sign(parts, &self.query, &signed, key, date)
            }
            other => return Err(format!("no signer for {other}")),
        })
    }
}
