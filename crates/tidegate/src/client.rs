//! The client of `/v1`: where the server is, what proves who asks, and what its answers mean.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Method, Response, StatusCode, Url};
use serde_json::Value;

use crate::cli::Remote;
use crate::exit::{Exit, Failure};
use crate::files;
use crate::output::shown;

const CONNECT: Duration = Duration::from_secs(5);
const TOTAL: Duration = Duration::from_secs(60);
/// Largest answer that is read; a million blocks fit.
const LARGEST: usize = 256 << 20;

/// A server to ask.
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    token: String,
    operator: Option<String>,
}

impl Client {
    /// Finds server and token by flags, environment and data directory, in this order.
    pub(crate) fn find(remote: &Remote, data_dir: &Path) -> Result<Self, Failure> {
        let base = match &remote.server {
            Some(url) => parse_base(url)?,
            None => listening(data_dir)?,
        };
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(TOTAL)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("tidegate/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| Failure::failed(format!("cannot set up an HTTP client: {e}")))?;
        Ok(Self {
            http,
            base,
            token: token(remote, data_dir)?,
            operator: operator(remote)?,
        })
    }

    /// The server's address.
    pub(crate) fn base(&self) -> &Url {
        &self.base
    }

    /// `GET`.
    pub(crate) async fn get(&self, path: &[&str]) -> Result<Value, Failure> {
        self.get_with(path, &[]).await
    }

    /// `GET` with a query.
    pub(crate) async fn get_with(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Value, Failure> {
        let mut url = self.url(path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.send(Method::GET, url, None).await
    }

    /// `POST` with a JSON body.
    pub(crate) async fn post(&self, path: &[&str], body: Value) -> Result<Value, Failure> {
        let url = self.url(path)?;
        self.send(Method::POST, url, Some(body)).await
    }

    /// `DELETE` with a query.
    pub(crate) async fn delete(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Value, Failure> {
        let mut url = self.url(path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.send(Method::DELETE, url, None).await
    }

    /// Refuses to send a vendor's secret in the clear to another machine.
    pub(crate) fn may_carry_secrets(&self) -> Result<(), Failure> {
        let stays_here = match self.base.host_str().unwrap_or_default() {
            "localhost" => true,
            host => host
                .trim_matches(['[', ']'])
                .parse()
                .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback()),
        };
        if stays_here || self.base.scheme() == "https" {
            return Ok(());
        }
        Err(Failure::usage(format!(
            "{} would get the secret in the clear; run this on the server's machine, or name an \
             https:// address of it with --server",
            self.base
        )))
    }

    /// `/v1/` and the parts, percent-encoded.
    fn url(&self, path: &[&str]) -> Result<Url, Failure> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| Failure::usage(format!("{} cannot be a server's URL", self.base)))?
            .pop_if_empty()
            .push("v1")
            .extend(path);
        Ok(url)
    }

    async fn send(&self, method: Method, url: Url, body: Option<Value>) -> Result<Value, Failure> {
        let mut request = self.http.request(method, url).bearer_auth(&self.token);
        if let Some(operator) = &self.operator {
            request = request.header("Tidegate-Operator", operator);
        }
        if let Some(body) = &body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|e| self.no_answer(&e))?;
        self.read(response).await
    }

    async fn read(&self, mut response: Response) -> Result<Value, Failure> {
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(part) = response.chunk().await.map_err(|e| self.no_answer(&e))? {
            bytes.extend_from_slice(&part);
            if bytes.len() > LARGEST {
                return Err(Failure::failed(
                    "the answer is larger than this client reads; ask for less with --limit",
                ));
            }
        }
        let value = serde_json::from_slice::<Value>(&bytes).ok();
        match value {
            Some(value) if status.is_success() => Ok(value),
            None if status.is_success() && bytes.is_empty() => Ok(Value::Null),
            value => Err(self.refused(status, value.as_ref())),
        }
    }

    /// What the server said, with what to do where this side knows better.
    fn refused(&self, status: StatusCode, answer: Option<&Value>) -> Failure {
        let said = |name: &str| answer?.get("error")?.get(name)?.as_str();
        let Some(message) = said("message") else {
            return Failure::failed(format!(
                "{} answered HTTP {} without a reason; is it a tidegate server's API address?",
                self.base,
                status.as_u16()
            ));
        };
        let message = shown(message);
        match said("code") {
            Some("invalid") => Failure::usage(message),
            Some("unauthorised") => Failure::failed(format!(
                "{message}; give the right token with --token-file, or make another on the \
                 server's machine with `tidegate admin-token rotate --offline` while the server \
                 is stopped"
            )),
            _ => Failure::failed(message),
        }
    }

    fn no_answer(&self, error: &reqwest::Error) -> Failure {
        let why = if error.is_timeout() {
            "it did not answer in time".to_owned()
        } else {
            innermost(error)
        };
        Failure::unreachable(format!(
            "no tidegate server answers at {}: {why}; start it with `tidegate serve`, or name \
             another with --server",
            self.base
        ))
    }
}

/// Whether a failure means that there is no server, so that work on the files may go ahead.
pub(crate) fn is_down(failure: &Failure) -> bool {
    failure.exit == Exit::Unreachable
}

fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn parse_base(text: &str) -> Result<Url, Failure> {
    let wrong = || {
        Failure::usage(format!(
            "--server (TIDEGATE_SERVER) {:?} is not a server's URL: expected \
             http://host:port or https://host:port",
            shown(text)
        ))
    };
    let url = Url::parse(text).map_err(|_| wrong())?;
    let right = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.query().is_none()
        && url.fragment().is_none();
    if right { Ok(url) } else { Err(wrong()) }
}

/// The API address of the server that uses this data directory.
fn listening(data_dir: &Path) -> Result<Url, Failure> {
    let path = data_dir.join(files::LISTEN);
    let absent = |why: String| {
        Failure::unreachable(format!(
            "no tidegate server runs on {}: {why}; start it with `tidegate serve`, or name its \
             data directory with --data-dir or its URL with --server",
            data_dir.display()
        ))
    };
    let text = std::fs::read_to_string(&path)
        .map_err(|e| absent(format!("{} cannot be read ({e})", path.display())))?;
    let value: Value = serde_json::from_str(&text)
        .map_err(|e| absent(format!("{} is damaged ({e})", path.display())))?;
    let address = value.get("api").and_then(Value::as_str).unwrap_or_default();
    let mut address: std::net::SocketAddr = address
        .parse()
        .map_err(|_| absent(format!("{} names no API address", path.display())))?;
    files::make_reachable(&mut address);
    parse_base(&format!("http://{address}"))
}

fn token(remote: &Remote, data_dir: &Path) -> Result<String, Failure> {
    if remote.token_file.is_none()
        && let Ok(token) = std::env::var("TIDEGATE_TOKEN")
    {
        return check_token(&token, "TIDEGATE_TOKEN");
    }
    let (path, hint) = match &remote.token_file {
        Some(path) => (path.clone(), "name the right file with --token-file"),
        None => (
            data_dir.join(files::ADMIN_TOKEN),
            "name one with --token-file, or make another on the server's machine with \
             `tidegate admin-token rotate --offline` while the server is stopped",
        ),
    };
    read_token(&path, hint)
}

fn read_token(path: &PathBuf, hint: &str) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        Failure::failed(format!(
            "the admin token {} cannot be read: {e}; {hint}",
            path.display()
        ))
    })?;
    check_token(&text, &path.display().to_string())
}

fn check_token(text: &str, place: &str) -> Result<String, Failure> {
    let token = text.trim_end_matches(['\r', '\n']);
    let right = !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic());
    if right {
        Ok(token.to_owned())
    } else {
        Err(Failure::failed(format!(
            "{place} holds no admin token: expected one line of printable characters"
        )))
    }
}

fn operator(remote: &Remote) -> Result<Option<String>, Failure> {
    let right = |name: &str| {
        (1..=64).contains(&name.len()) && name.bytes().all(|b| matches!(b, 0x20..=0x7e))
    };
    match &remote.operator {
        Some(name) if right(name) => Ok(Some(name.clone())),
        Some(name) => Err(Failure::usage(format!(
            "--operator (TIDEGATE_OPERATOR) {:?} is not a name: expected 1 to 64 printable ASCII \
             characters",
            shown(name)
        ))),
        None => Ok(std::env::var("USER").ok().filter(|name| right(name))),
    }
}
