//! One GET with its redirects, and its body in pieces; every wait ends at the look's deadline and
//! every byte is counted.

use std::net::IpAddr;

use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, LOCATION};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use tidegate_core::UnixMs;
use tidegate_core::probe::Look;

use crate::look::{LookerError, Options, Run, Verdict};
use crate::words;

/// Most response headers; more is an error of the answer.
const MAX_HEADERS: usize = 64;
/// What the HTTP library reads of a head before it gives up.
const LONGEST_HEAD: u64 = 408 << 10;
/// What it reads at once at first; later up to twice what it read before.
const FIRST_READ: u64 = 8 << 10;
/// A status line, about.
const STATUS_LINE: u64 = 17;
/// Longest address that a redirect or playlist may name.
const LONGEST_URL: usize = 8192;

/// The client and how far it follows.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    client: Client,
    max_redirects: usize,
}

/// An answer with status 200.
#[derive(Debug)]
pub(crate) struct Answer {
    response: Response,
    largest: u64,
}

/// What comes next of a body.
pub(crate) enum Piece {
    /// Bytes, not empty.
    Bytes(Vec<u8>),
    /// The proper end.
    End,
    /// The deadline.
    Late,
    /// Reading on might pass the byte budget.
    Spent,
    /// The connection failed; why.
    Broken(String),
}

impl Http {
    pub(crate) fn new(options: &Options) -> Result<Self, LookerError> {
        let client = Client::builder()
            .connect_timeout(options.connect_timeout)
            .redirect(redirect::Policy::none())
            // A connection kept from an earlier look would show that look's edge node again.
            .pool_max_idle_per_host(0)
            .http1_only()
            .http1_max_headers(MAX_HEADERS)
            .no_proxy()
            .referer(false)
            .user_agent(concat!("tidegate-probe/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| LookerError::Setup(words::of_error(&error)))?;
        Ok(Self {
            client,
            max_redirects: options.max_redirects,
        })
    }

    /// Asks for `url` and follows its redirects; anything but a 200 is a verdict.
    pub(crate) async fn get(&self, run: &mut Run, url: Url) -> Result<Answer, Verdict> {
        let mut url = url;
        for _ in 0..=self.max_redirects {
            let response = self.ask(run, url.clone()).await?;
            let status = response.status();
            if !status.is_redirection() {
                return of_status(status).map_or(
                    Ok(Answer {
                        response,
                        largest: 0,
                    }),
                    Err,
                );
            }
            let next = target(response.headers(), &url).map_err(|words| {
                Verdict::new(Look::NoAnswer, format!("HTTP {}: {words}", status.as_u16()))
            })?;
            if next == url {
                let words = "it redirects to itself";
                return Err(Verdict::new(Look::NoAnswer, words));
            }
            url = next;
        }
        let words = format!("more than {} redirects", self.max_redirects);
        Err(Verdict::new(Look::NoAnswer, words))
    }

    async fn ask(&self, run: &mut Run, url: Url) -> Result<Response, Verdict> {
        if run.left() < FIRST_READ {
            return Err(Verdict::spent());
        }
        if is_inner(&url) && !run.may_go_inside {
            let words = "it leads to a loopback or link-local address, not followed";
            return Err(Verdict::new(Look::NoAnswer, words));
        }
        let Some(result) = run.in_time(self.client.get(url).send()).await else {
            return Err(Verdict::new(Look::NoAnswer, "no answer in time"));
        };
        let response = result.map_err(|error| {
            let words = words::of_error(&error);
            if words.contains("too large") {
                run.spend(LONGEST_HEAD);
            }
            let what = match error.is_connect() {
                true => "no connection",
                false => "no answer",
            };
            Verdict::new(Look::NoAnswer, format!("{what}: {words}"))
        })?;
        let fields = response.headers().iter();
        let head = fields.map(|(name, value)| name.as_str().len() + value.len() + 4);
        run.spend(STATUS_LINE + size(head.sum()));
        if run.date.is_none() {
            run.date = date(response.headers());
        }
        Ok(response)
    }
}

impl Answer {
    /// Whether the content type says that this is a page or a message and no media.
    pub(crate) fn is_declared_text(&self) -> bool {
        let kind = self.response.headers().get(CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        [
            "text/html",
            "application/json",
            "text/xml",
            "application/xml",
        ]
        .iter()
        .any(|text| kind.len() >= text.len() && kind.to_ascii_lowercase().starts_with(text))
    }

    /// Where it came from, after redirects.
    pub(crate) fn url(&self) -> &Url {
        self.response.url()
    }

    /// The next bytes of the body.
    pub(crate) async fn piece(&mut self, run: &mut Run) -> Piece {
        if run.left() < FIRST_READ.max(self.largest * 2) {
            return Piece::Spent;
        }
        match run.in_time(self.response.chunk()).await {
            None => Piece::Late,
            Some(Err(error)) => Piece::Broken(words::of_error(&error)),
            Some(Ok(None)) => Piece::End,
            Some(Ok(Some(bytes))) => {
                let size = size(bytes.len());
                run.spend(size);
                self.largest = self.largest.max(size);
                Piece::Bytes(bytes.into())
            }
        }
    }
}

/// `address`, which a server gave in an answer from `base`.
pub(crate) fn resolve(base: &Url, address: &str) -> Result<Url, String> {
    if address.len() > LONGEST_URL {
        return Err("the address it names is too long".to_owned());
    }
    let mut url = base
        .join(address)
        .map_err(|error| format!("the address it names is malformed: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("the address it names is neither http:// nor https://".to_owned());
    }
    // The HTTP library would send these along.
    let _ = (url.set_username(""), url.set_password(None));
    url.set_fragment(None);
    Ok(url)
}

fn target(headers: &HeaderMap, base: &Url) -> Result<Url, String> {
    let location = headers.get(LOCATION).ok_or("a redirect without a target")?;
    let location = location
        .to_str()
        .map_err(|_| "a redirect to what is no address")?;
    resolve(base, location)
}

/// Addresses that no CDN sends its viewers to, but an attacker might.
pub(crate) fn is_inner(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse() {
        Ok(IpAddr::V4(v4)) => v4.is_loopback() || v4.is_link_local() || v4.is_unspecified(),
        Ok(IpAddr::V6(v6)) => {
            let mapped = v6.to_ipv4_mapped();
            let inner = mapped.is_some_and(|v4| v4.is_loopback() || v4.is_link_local());
            inner || v6.is_loopback() || v6.is_unspecified() || v6.is_unicast_link_local()
        }
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

fn of_status(status: StatusCode) -> Option<Verdict> {
    let code = status.as_u16();
    let look = match code {
        200 => return None,
        404 | 410 => Look::Absent,
        401 | 403 => Look::Refused,
        _ => Look::NoAnswer,
    };
    let reason = status.canonical_reason().unwrap_or("not a known status");
    Some(Verdict::new(look, format!("HTTP {code} {reason}")))
}

fn date(headers: &HeaderMap) -> Option<UnixMs> {
    let text = headers.get(DATE)?.to_str().ok()?;
    let parser = jiff::fmt::rfc2822::DateTimeParser::new();
    let at = parser.parse_timestamp(text).ok()?;
    Some(UnixMs(at.as_millisecond()))
}

pub(crate) fn size(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_inside_the_machine_are_known() {
        for (host, inner) in [
            ("127.0.0.1", true),
            ("2130706433", true),
            ("127.9.9.9:80", true),
            ("0.0.0.0", true),
            ("169.254.169.254", true),
            ("[::1]", true),
            ("[::]", true),
            ("[::ffff:127.0.0.1]", true),
            ("[fe80::1]", true),
            ("localhost", true),
            ("a.LOCALHOST", true),
            ("10.0.0.7", false),
            ("[2001:db8::1]", false),
            ("play.example.com", false),
            ("localhost.example.com", false),
        ] {
            let url = Url::parse(&format!("http://{host}/x")).unwrap();
            assert_eq!(is_inner(&url), inner, "{host}");
        }
    }

    #[tokio::test]
    async fn no_answer_leads_inside_the_machine() {
        let http = Http::new(&Options::default()).unwrap();
        for (may_go_inside, words) in [(false, "not followed"), (true, "no connection")] {
            let mut run = Run::new(&Options::default(), 1 << 20, may_go_inside);
            let url = Url::parse("http://127.0.0.1:1/x.flv").unwrap();
            let verdict = http.get(&mut run, url).await.unwrap_err();
            assert!(verdict.words.contains(words), "{}", verdict.words);
        }
    }

    #[test]
    fn addresses_are_resolved_without_credentials() {
        let base = Url::parse("https://h/a/b.m3u8?k=v").unwrap();
        let to = |address| resolve(&base, address).map(String::from);
        assert_eq!(to("c.m3u8").as_deref(), Ok("https://h/a/c.m3u8"));
        assert_eq!(to("//u:p@i:81/c#d").as_deref(), Ok("https://i:81/c"));
        assert_eq!(to("HTTP://i/c").as_deref(), Ok("http://i/c"));
        assert!(to("data:,x").is_err() && to("rtmp://h/live/x").is_err());
    }
}
