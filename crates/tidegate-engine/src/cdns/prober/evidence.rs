//! One look at a stream on one target: every play URL, and the vendor's own word.

use std::sync::Arc;

use tidegate_cdn::{Cdn, StreamState, VendorObject};
use tidegate_core::StreamKey;
use tidegate_core::budget::CallKind;
use tidegate_core::probe::Look;
use tidegate_probe::{Looked, Looker, PlayRecipe, Signing, Template};

use super::super::desk::Drawn;
use super::super::directory::TargetEntry;
use super::Prober;

/// What was seen.
pub(super) struct Sight {
    /// By template text.
    pub(super) looks: Vec<(String, Look)>,
    /// The vendor's word on whether the stream is being published; `None`: it gave none.
    pub(super) vendor: Option<bool>,
    /// Bytes read.
    pub(super) bytes: u64,
    /// In words.
    pub(super) words: String,
}

impl Prober {
    /// Looks; `ask_vendor`: its state too, where it has one and the account's limits allow.
    pub(super) fn sight_of(
        &mut self,
        key: &StreamKey,
        target: &Arc<TargetEntry>,
        ask_vendor: bool,
    ) -> impl Future<Output = Sight> + Send + 'static {
        let now = self.engine.clock.now();
        let cdns = self.engine.cdns();
        let looker = cdns.looker().clone();
        let budget = self
            .seen
            .bytes_left(target, cdns.options().daily_look_bytes, now);
        let urls = urls(key, target, now.wall);
        let drawn = ask_vendor.then(|| self.draw(key)).flatten();
        let object = self.account.object(&target.site, &key.stream);
        let cdn = Arc::clone(&self.account.cdn);
        async move {
            let vendor = async {
                let Some(mut drawn) = drawn else {
                    return (None, None);
                };
                match drawn.is_kept().await {
                    true => vendor_state(&*cdn, &object).await,
                    false => (None, None),
                }
            };
            let (looks, (vendor, said)) = tokio::join!(look_at(&looker, urls, budget), vendor);
            let mut words: Vec<String> = said.into_iter().collect();
            words.extend(looks.iter().map(|(text, looked)| shown(text, looked)));
            Sight {
                vendor,
                bytes: looks.iter().map(|(_, looked)| looked.bytes).sum(),
                words: words.join("; "),
                looks: looks.into_iter().map(|(text, l)| (text, l.look)).collect(),
            }
        }
    }

    /// A question to the vendor, where it has an answer and the account's limits allow.
    fn draw(&self, key: &StreamKey) -> Option<Drawn> {
        if self.account.signer.vendor() == tidegate_cdn::Vendor::Ws {
            return None;
        }
        Drawn::draw(&self.engine, &self.desk, CallKind::State, key.app).ok()
    }
}

/// Every template's text and the URL it comes to.
fn urls(
    key: &StreamKey,
    target: &TargetEntry,
    now: tidegate_core::UnixMs,
) -> Vec<(Template, String)> {
    let recipe = PlayRecipe::of_word(target.target.target.vendor.word());
    let key_of_target = target.target.play_key.as_ref();
    let templates = target.target.play_urls.iter();
    templates
        .filter_map(|text| Template::parse(text).ok())
        .map(|template| {
            let signing = recipe
                .zip(key_of_target)
                .map(|(recipe, key)| Signing { recipe, key });
            let url = template.url(&key.stream, signing, now);
            (template, url)
        })
        .collect()
}

async fn look_at(
    looker: &Looker,
    urls: Vec<(Template, String)>,
    budget: u64,
) -> Vec<(String, Looked)> {
    let mut looked = Vec::with_capacity(urls.len());
    let mut left = budget;
    for (template, url) in urls {
        let look = looker.look(&url, template.kind(), left).await;
        left = left.saturating_sub(look.bytes);
        looked.push((template.text().to_owned(), look));
    }
    looked
}

async fn vendor_state(cdn: &dyn Cdn, object: &VendorObject) -> (Option<bool>, Option<String>) {
    match cdn.stream_state(object).await {
        Ok(answer) => match answer.value {
            StreamState::Live => (Some(true), Some("the vendor says it is live".to_owned())),
            StreamState::Idle => (
                Some(false),
                Some("the vendor says it is not being published".to_owned()),
            ),
            StreamState::Forbidden => {
                (Some(false), Some("the vendor says it is banned".to_owned()))
            }
        },
        Err(failure) => (None, Some(failure.to_string())),
    }
}

fn shown(template: &str, looked: &Looked) -> String {
    let word = match looked.look {
        Look::Media => "media",
        Look::Absent => "absent",
        Look::Refused => "refused",
        Look::NoAnswer => "no answer",
    };
    let template = tidegate_core::text::printable(template, 120);
    format!("{template}: {word} ({})", looked.words)
}
