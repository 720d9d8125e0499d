//! Whom else a ban hits where a vendor compares the stream name alone.

use tidegate_core::AppId;
use tidegate_core::placement::{Opening, Want, merge};
use tidegate_core::text::printable;

use super::{Case, words};
use crate::cdns::CdnDirectory;

/// Sharers that a sentence names.
const NAMED: usize = 5;

/// The streams that share one vendor object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shared {
    /// In a sentence or three.
    pub words: String,
    /// The other targets that it acts on, by their row id.
    pub with: Vec<Sharer>,
    /// The stream is wanted open here, and stays banned since another target's block asks for it.
    pub kept_banned: bool,
}

/// A target whose stream of the same name is banned and let go together with this one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sharer {
    /// Whose.
    pub app: AppId,
    /// Its row id.
    pub target: i64,
    /// Where publishers push to.
    pub publish_domain: String,
    /// RTMP app name there.
    pub rtmp_app: String,
    /// What its block asks for; `None`: nothing was ever decided.
    pub want: Option<Want>,
}

impl Shared {
    /// `None` where a ban hits one stream of one target.
    pub(in crate::cdns) fn of(case: &Case, directory: &CdnDirectory) -> Option<Self> {
        let object = case.account.object(&case.target.site, &case.row.key.stream);
        let radius = object.blast_radius()?;
        let own = case.target.target.target.id;
        let others = directory.targets().into_iter().filter(|entry| {
            entry.target.account == case.row.key.account && entry.target.target.id != own
        });
        let with: Vec<Sharer> = others
            .map(|entry| {
                let target = &entry.target.target;
                let owner = case.wants.iter().find(|owner| owner.id.0 == target.id);
                Sharer {
                    app: target.app,
                    target: target.id,
                    publish_domain: target.publish_domain.clone(),
                    rtmp_app: target.rtmp_app.clone(),
                    want: owner.map(|owner| owner.want),
                }
            })
            .collect();
        let kept_banned = merge(&case.wants).is_some_and(|merged| case.is_kept(merged));
        Some(Self {
            words: sentences(&radius, &with, kept_banned),
            with,
            kept_banned,
        })
    }
}

fn sentences(radius: &str, with: &[Sharer], kept_banned: bool) -> String {
    let mut text = format!("{radius}.");
    if !with.is_empty() {
        let named: Vec<String> = with.iter().take(NAMED).map(shown).collect();
        text.push_str(&format!(" It also acts on {}", named.join(", ")));
        match with.len().saturating_sub(NAMED) {
            0 => text.push('.'),
            more => text.push_str(&format!(" and {more} more.")),
        }
    }
    if kept_banned {
        let bans = |sharer: &&Sharer| matches!(sharer.want, Some(Want::Banned(_)));
        let keeper = with
            .iter()
            .filter(bans)
            .max_by_key(|sharer| end(sharer.want));
        let who = keeper.map_or_else(
            || "Another target's block".to_owned(),
            |keeper| format!("The block of App {}", keeper.app),
        );
        text.push_str(&format!(
            " {who} keeps it off the air here, though it is open."
        ));
    }
    text
}

/// Later ends last longest.
fn end(want: Option<Want>) -> i64 {
    match want {
        Some(Want::Banned(until)) => until.shown().0,
        _ => i64::MIN,
    }
}

fn shown(sharer: &Sharer) -> String {
    let state = match sharer.want {
        None | Some(Want::Open(Opening::Resumed | Opening::Ended)) => "open".to_owned(),
        Some(want) => words::want(want),
    };
    format!(
        "App {} at {}/{} ({state})",
        sharer.app,
        printable(&sharer.publish_domain, 100),
        printable(&sharer.rtmp_app, 60)
    )
}
