//! One look at each play URL of a target, for an operator. What is seen is told and not kept:
//! whether a template counts as evidence is the prober's to find out.

use tidegate_cdn::StreamState;
use tidegate_core::StreamId;
use tidegate_core::probe::Look;
use tidegate_core::text::printable;
use tidegate_probe::{Looked, Looker, Options, PlayRecipe, Signing, Template};
use tokio::time::Instant;

use super::{CdnError, Check, Problem};
use crate::cdns::{CdnOptions, TargetEntry};
use crate::clock::wall;

/// Looks at every template, one after the other. `state` is what the vendor said of the stream.
pub(super) async fn all(
    target: &TargetEntry,
    stream: &StreamId,
    state: Option<StreamState>,
    options: &CdnOptions,
) -> Result<Vec<Check>, CdnError> {
    if target.target.play_urls.is_empty() {
        return Ok(Vec::new());
    }
    let looker = Looker::new(Options {
        max_bytes: options.look_bytes,
        ..Options::default()
    })?;
    let recipe = PlayRecipe::of_word(target.target.target.vendor.word());
    let signing = recipe
        .zip(target.target.play_key.as_ref())
        .map(|(recipe, key)| Signing { recipe, key });
    let mut checks = Vec::new();
    for text in &target.target.play_urls {
        let begun = Instant::now();
        let template = Template::parse(text)?;
        let url = template.url(stream, signing, wall());
        let looked = looker.look(&url, template.kind(), options.look_bytes).await;
        let (problem, told) = judged(looked.look, state);
        checks.push(Check {
            what: format!("look at {}", printable(text, 200)),
            problem,
            words: worded(told, &looked),
            request_id: None,
            took: begun.elapsed(),
            vendor_date: looked.date,
        });
    }
    Ok(checks)
}

fn worded(told: &str, looked: &Looked) -> String {
    match looked.words.is_empty() {
        true => told.to_owned(),
        false => format!("{told} ({})", looked.words),
    }
}

/// What a look means beside the vendor's own word. A stream that is off the air is nothing wrong
/// with its URL.
fn judged(look: Look, state: Option<StreamState>) -> (Option<Problem>, &'static str) {
    let live = state == Some(StreamState::Live);
    match look {
        Look::Media if state == Some(StreamState::Forbidden) => (
            Some(Problem::Play),
            "media: it plays, and yet the vendor says that the stream is banned",
        ),
        Look::Media => (None, "media: the stream plays there"),
        Look::Absent if live => (
            Some(Problem::Play),
            "absent: the vendor says that the stream is live, and it does not play there; check \
             the template",
        ),
        Look::Absent => (None, "absent: no such stream plays there"),
        Look::Refused if state == Some(StreamState::Forbidden) => {
            (None, "refused: as a banned stream is")
        }
        Look::Refused => (
            Some(Problem::Play),
            "refused: the play domain wants a signed URL or refuses this one; check \
             --play-key-file and the template",
        ),
        Look::NoAnswer => (
            Some(Problem::Play),
            "no answer: nothing usable came from there; check the template",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_judged_beside_the_vendors_word() {
        use StreamState::{Forbidden, Idle, Live};
        for (look, state, fine, part) in [
            (Look::Media, Some(Live), true, "media"),
            (Look::Media, None, true, "media"),
            (Look::Media, Some(Forbidden), false, "is banned"),
            (Look::Absent, Some(Live), false, "check the template"),
            (Look::Absent, Some(Idle), true, "absent"),
            (Look::Absent, None, true, "absent"),
            (Look::Refused, Some(Forbidden), true, "as a banned stream"),
            (Look::Refused, None, false, "--play-key-file"),
            (Look::NoAnswer, Some(Forbidden), false, "no answer"),
        ] {
            let (problem, told) = judged(look, state);
            assert_eq!(problem.is_none(), fine, "{look:?} {state:?}");
            assert!(told.contains(part), "{told}");
        }
    }
}
