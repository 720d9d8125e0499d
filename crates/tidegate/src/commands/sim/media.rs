//! The media side of a simulated CDN: its names on the origin's table of streams, and its bans at
//! the origin's gate.
//!
//! A CDN has several domains, the origin has Apps: each domain with one RTMP app is an App here,
//! numbered as publishers come. Which domain is meant: `vhost=` in the query, which must be a
//! domain of the configuration; else the host of `tcUrl` or the `Host` header, if it is one; else,
//! as on loopback, the first domain of the configuration.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tidegate_core::name::Named;
use tidegate_core::text::printable;
use tidegate_core::{AppId, StreamId, StreamKey, UnixMs, Until};
use tidegate_origin::{Gate, Hub, Refusal};
use tidegate_sim::{Domain, Media, Online, Simulator, StreamName};

/// Apps that publishers may bring into being.
const MOST_APPS: usize = 4096;

/// What the simulated CDN carries.
pub(super) struct Plane {
    hub: Hub,
    domains: Vec<Domain>,
    /// The domain and RTMP app of each App; `AppId` n is at n - 1.
    apps: Mutex<Vec<(String, String)>>,
}

impl Plane {
    /// Nothing on the air. `domains` must not be empty.
    pub(super) fn new(hub: Hub, domains: &[Domain]) -> Self {
        Self {
            hub,
            domains: domains.to_vec(),
            apps: Mutex::default(),
        }
    }

    /// The publish domain that a publisher or player means.
    fn domain(&self, named: &Named, host: &str) -> Result<&str, Refusal> {
        let by_name = |name: &str| {
            self.domains.iter().find(|domain| {
                let play = domain.play.as_deref();
                domain.publish.eq_ignore_ascii_case(name)
                    || play.is_some_and(|play| play.eq_ignore_ascii_case(name))
            })
        };
        let mut pairs = named.query.split('&').filter_map(|p| p.split_once('='));
        let found = match pairs.find(|(name, _)| *name == "vhost") {
            Some((_, name)) => by_name(name),
            None => by_name(host).or(self.domains.first()),
        };
        let unknown = || Refusal::UnknownApp(printable(&named.app, 64));
        Ok(found.ok_or_else(unknown)?.publish.as_str())
    }

    fn find(&self, domain: &str, app: &str) -> Option<AppId> {
        let apps = self.apps.lock();
        let at = apps.iter().position(|(d, a)| d == domain && a == app)?;
        id_at(at)
    }

    /// As [`Plane::find`], making the App when it is not there.
    fn find_or_make(&self, domain: &str, app: &str) -> Option<AppId> {
        let mut apps = self.apps.lock();
        if let Some(at) = apps.iter().position(|(d, a)| d == domain && a == app) {
            return id_at(at);
        }
        if apps.len() >= MOST_APPS {
            return None;
        }
        apps.push((domain.to_owned(), app.to_owned()));
        id_at(apps.len() - 1)
    }

    fn name_of(&self, key: &StreamKey) -> Option<StreamName> {
        let at = usize::try_from(key.app.0.checked_sub(1)?).ok()?;
        let apps = self.apps.lock();
        let (domain, app) = apps.get(at)?;
        Some(StreamName::new(domain, app, key.stream.as_str()))
    }
}

fn id_at(at: usize) -> Option<AppId> {
    u32::try_from(at + 1).ok().map(AppId)
}

impl Media for Plane {
    fn cut(&self, name: &StreamName, until: Option<UnixMs>) {
        let why = until.map_or(Refusal::Kicked, |at| Refusal::Forbidden(Until::At(at)));
        let app = self.find(&name.domain, &name.app);
        // The origin carries no other streams, whatever else a vendor lets be banned.
        if let (Some(app), Ok(stream)) = (app, StreamId::parse(&name.stream)) {
            self.hub.cut(&StreamKey::new(app, stream), &why);
        }
    }

    fn online(&self) -> Vec<Online> {
        let online = |info: tidegate_origin::StreamInfo| {
            Some(Online {
                name: self.name_of(&info.key)?,
                since: info.since,
                client_ip: info.publisher.ip().to_string(),
            })
        };
        self.hub
            .streams(None)
            .into_iter()
            .filter_map(online)
            .collect()
    }
}

/// Who may publish and play at a simulated CDN: everybody, but for the simulator's bans.
pub(super) struct Door {
    plane: Arc<Plane>,
    simulator: Arc<Simulator>,
}

impl Door {
    pub(super) fn new(plane: Arc<Plane>, simulator: Arc<Simulator>) -> Self {
        Self { plane, simulator }
    }

    fn unless_forbidden(&self, key: StreamKey) -> Result<StreamKey, Refusal> {
        match self.standing(&key) {
            Some(refusal) => Err(refusal),
            None => Ok(key),
        }
    }
}

impl Gate for Door {
    fn admit_publish(&self, named: &Named, peer: SocketAddr) -> Result<StreamKey, Refusal> {
        self.admit_publish_at(named, "", peer)
    }

    fn admit_play(&self, named: &Named, peer: SocketAddr) -> Result<StreamKey, Refusal> {
        self.admit_play_at(named, "", peer)
    }

    fn admit_publish_at(
        &self,
        named: &Named,
        host: &str,
        _peer: SocketAddr,
    ) -> Result<StreamKey, Refusal> {
        let domain = self.plane.domain(named, host)?;
        let app = self.plane.find_or_make(domain, &named.app);
        let app = app.ok_or_else(|| Refusal::UnknownApp(printable(&named.app, 64)))?;
        self.unless_forbidden(StreamKey::new(app, named.stream.clone()))
    }

    fn admit_play_at(
        &self,
        named: &Named,
        host: &str,
        _peer: SocketAddr,
    ) -> Result<StreamKey, Refusal> {
        let domain = self.plane.domain(named, host)?;
        let app = self.plane.find(domain, &named.app);
        let app = app.ok_or_else(|| Refusal::UnknownApp(printable(&named.app, 64)))?;
        self.unless_forbidden(StreamKey::new(app, named.stream.clone()))
    }

    fn standing(&self, key: &StreamKey) -> Option<Refusal> {
        let name = self.plane.name_of(key)?;
        let until = self.simulator.held_until(&name)?;
        Some(Refusal::Forbidden(Until::At(until)))
    }
}
