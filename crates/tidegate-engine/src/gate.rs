//! Admission at the origin: names to streams, publish authentication, blocks.

use std::net::SocketAddr;
use std::sync::Arc;

use tidegate_core::name::Named;
use tidegate_core::{StreamKey, publish_auth};
use tidegate_ledger::PublishAuth;
use tidegate_origin::{Gate, Refusal};

use crate::apps::AppEntry;
use crate::clock::wall;
use crate::engine::Engine;

impl Gate for Engine {
    fn admit_publish(&self, named: &Named, _peer: SocketAddr) -> Result<StreamKey, Refusal> {
        let entry = self.enabled_app(&named.app)?;
        if entry.app.publish_auth == PublishAuth::Signed {
            let keys = [
                Some(&entry.app.publish_key),
                entry.app.publish_key_backup.as_ref(),
            ];
            publish_auth::verify(
                &named.query,
                keys.into_iter().flatten(),
                &named.app,
                named.stream.as_str(),
                wall().seconds(),
            )?;
        }
        self.unless_blocked(StreamKey::new(entry.app.id, named.stream.clone()))
    }

    fn admit_play(&self, named: &Named, _peer: SocketAddr) -> Result<StreamKey, Refusal> {
        let entry = self.enabled_app(&named.app)?;
        self.unless_blocked(StreamKey::new(entry.app.id, named.stream.clone()))
    }

    fn standing(&self, key: &StreamKey) -> Option<Refusal> {
        if let Some(until) = self.blocks().get(key.app, key.stream.as_str()) {
            return Some(Refusal::Forbidden(until));
        }
        let disabled = self
            .apps()
            .get(key.app)
            .is_none_or(|entry| entry.app.disabled);
        disabled.then(|| Refusal::UnknownApp(key.app.to_string()))
    }
}

impl Engine {
    fn enabled_app(&self, rtmp_app: &str) -> Result<Arc<AppEntry>, Refusal> {
        let entry = self
            .apps()
            .by_rtmp_app(rtmp_app)
            .filter(|entry| !entry.app.disabled);
        entry.ok_or_else(|| Refusal::UnknownApp(tidegate_core::text::printable(rtmp_app, 64)))
    }

    fn unless_blocked(&self, key: StreamKey) -> Result<StreamKey, Refusal> {
        match self.blocks().get(key.app, key.stream.as_str()) {
            Some(until) => Err(Refusal::Forbidden(until)),
            None => Ok(key),
        }
    }
}
