//! When to look at a stream after a decision, and what a look proves.
//!
//! Only looks make a stream *dark* or *live*. A play URL counts once it was seen live at its
//! target: before that, its silence may as well mean that the URL is wrong. The looking itself is
//! done by the shell.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::backoff::Now;
use crate::placement::Evidence;
use crate::reconcile::Standing;
use crate::time::UnixMs;

/// A stream still live this long after its ban was accepted is an alarm, unless told otherwise.
pub const ALARM_AFTER: Duration = Duration::from_secs(30);
/// Looks after a ban, in seconds since it was accepted; then every [`STEADY`].
const AFTER_FORBID: [u64; 8] = [1, 3, 6, 12, 25, 45, 90, 180];
/// Looks after a resume, in seconds since it was accepted; then none.
const AFTER_RESUME: [u64; 9] = [2, 5, 10, 30, 60, 180, 600, 1800, 3600];
/// Between looks at a stream that has not gone dark.
const STEADY: Duration = Duration::from_secs(300);
/// A stream seen dark is looked at once more this much later, since encoders reconnect.
const CONFIRM: Duration = Duration::from_secs(30);

/// What one request to a play URL came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Look {
    /// Media flows.
    Media,
    /// Answered that there is no such stream, or with an end and no media.
    Absent,
    /// 401 or 403.
    Refused,
    /// No answer, a server error, or something that is no answer to the question.
    NoAnswer,
}

/// A play URL or a vendor's answer, judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// A play URL template; whether it was ever seen live at its target.
    Play {
        /// What the request came to.
        look: Look,
        /// Media came through this template before.
        seen_live: bool,
    },
    /// The vendor's word on whether the stream is being published; `None`: it gave none.
    Vendor(Option<bool>),
}

impl Source {
    /// What it shows, and whether it counts at all.
    fn evidence(self) -> Option<Evidence> {
        match self {
            Self::Play {
                look: Look::Media, ..
            } => Some(Evidence::Live),
            Self::Play {
                seen_live: false, ..
            } => None,
            Self::Play {
                look: Look::Absent | Look::Refused,
                ..
            } => Some(Evidence::Dark),
            Self::Play {
                look: Look::NoAnswer,
                ..
            } => Some(Evidence::Unknown),
            Self::Vendor(live) => live.map(|live| match live {
                true => Evidence::Live,
                false => Evidence::Dark,
            }),
        }
    }
}

/// What several sources show together: live if any does, dark only if all that count do, unknown
/// if none counts.
pub fn judge(sources: impl IntoIterator<Item = Source>) -> Evidence {
    let rank = |evidence: &Evidence| match evidence {
        Evidence::Dark => 0,
        Evidence::Unknown => 1,
        Evidence::Live => 2,
    };
    let counted = sources.into_iter().filter_map(Source::evidence);
    counted.max_by_key(rank).unwrap_or(Evidence::Unknown)
}

/// What is being waited to be seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    /// That the stream is off the air.
    Dark,
    /// That it is back, if its publisher comes back.
    Live,
}

/// The looks at one placement after a decision was accepted there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Watch {
    goal: Goal,
    accepted: UnixMs,
    alarm_after: Duration,
    looks: usize,
    next: Option<UnixMs>,
    reached: Option<UnixMs>,
    alarmed: bool,
}

/// What a look changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum News {
    /// Nothing.
    None,
    /// The goal was reached, this long after the acceptance.
    Reached(Duration),
    /// Still live past the deadline. Told once.
    StillLive(Duration),
    /// It was dark and is live again.
    LiveAgain,
}

impl Watch {
    /// From the acceptance on. Times are of the steady clock.
    pub fn start(goal: Goal, alarm_after: Duration, now: Now) -> Self {
        let mut watch = Self {
            goal,
            accepted: now.steady,
            alarm_after,
            looks: 0,
            next: None,
            reached: None,
            alarmed: false,
        };
        watch.next = watch.scheduled(now);
        watch
    }

    /// What is waited for.
    pub fn goal(&self) -> Goal {
        self.goal
    }

    /// When to look next; `None`: no more.
    pub fn next(&self) -> Option<UnixMs> {
        self.next
    }

    /// When the goal was first seen reached.
    pub fn reached(&self) -> Option<UnixMs> {
        self.reached
    }

    /// A look that began at `began` has ended. One that began before the acceptance proves
    /// nothing.
    pub fn on_look(&mut self, evidence: Evidence, began: UnixMs, now: Now) -> News {
        if began < self.accepted {
            return News::None;
        }
        self.looks = self.looks.saturating_add(1);
        let elapsed = self.accepted.until(began);
        match (self.goal, evidence) {
            (Goal::Live, Evidence::Live) => {
                self.next = None;
                self.reach(began, elapsed)
            }
            (Goal::Dark, Evidence::Dark) => {
                let confirmed = self
                    .reached
                    .is_some_and(|first| first.until(began) >= CONFIRM);
                self.next = (!confirmed).then(|| now.steady.plus(CONFIRM));
                self.reach(began, elapsed)
            }
            (Goal::Dark, Evidence::Live) => {
                self.next = self.scheduled(now);
                if self.reached.take().is_some() {
                    return News::LiveAgain;
                }
                if self.alarmed || elapsed < self.alarm_after {
                    return News::None;
                }
                self.alarmed = true;
                News::StillLive(elapsed)
            }
            _ => {
                self.next = self.scheduled(now);
                News::None
            }
        }
    }

    fn reach(&mut self, began: UnixMs, elapsed: Duration) -> News {
        if self.reached.is_some() {
            return News::None;
        }
        self.reached = Some(began);
        News::Reached(elapsed)
    }

    /// The first planned look after `now`. The deadline of the alarm has one of its own.
    fn scheduled(&self, now: Now) -> Option<UnixMs> {
        let (plan, after): (&[u64], _) = match self.goal {
            Goal::Dark => (&AFTER_FORBID, Some(now.steady.plus(STEADY))),
            Goal::Live => (&AFTER_RESUME, None),
        };
        let planned = plan.iter().copied().map(Duration::from_secs);
        let deadline = (self.goal == Goal::Dark).then_some(self.alarm_after);
        let instants = planned
            .chain(deadline)
            .map(|after| self.accepted.plus(after));
        instants.filter(|at| *at > now.steady).min().or(after)
    }
}

/// What the vendor's word on a ban says about the stream: a banned stream is not being published;
/// one that is free may be or not.
pub fn of_standing(standing: Standing) -> Source {
    match standing {
        Standing::Banned(_) => Source::Vendor(Some(false)),
        Standing::Free => Source::Vendor(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn play(look: Look, seen_live: bool) -> Source {
        Source::Play { look, seen_live }
    }

    fn at(seconds: i64) -> Now {
        Now::agreed(UnixMs::from_seconds(seconds))
    }

    #[test]
    fn a_template_counts_once_it_was_seen_live() {
        use Evidence::{Dark, Live, Unknown};
        let told = |live| Source::Vendor(Some(live));
        for (sources, shows) in [
            (vec![], Unknown),
            (vec![Source::Vendor(None)], Unknown),
            (vec![play(Look::Media, false)], Live),
            (vec![play(Look::Absent, false)], Unknown),
            (vec![play(Look::Refused, false)], Unknown),
            (vec![play(Look::Refused, true)], Dark),
            (vec![play(Look::Absent, true)], Dark),
            (vec![play(Look::NoAnswer, true)], Unknown),
            (
                vec![play(Look::Absent, true), play(Look::NoAnswer, true)],
                Unknown,
            ),
            (
                vec![play(Look::Absent, true), play(Look::NoAnswer, false)],
                Dark,
            ),
            (
                vec![play(Look::Absent, true), play(Look::Media, true)],
                Live,
            ),
            (vec![told(false), play(Look::Absent, false)], Dark),
            (vec![told(false), play(Look::Media, true)], Live),
            (vec![told(true), play(Look::Absent, true)], Live),
        ] {
            assert_eq!(judge(sources.clone()), shows, "{sources:?}");
        }
    }

    #[test]
    fn looks_soon_then_less_often_until_dark_and_once_more() {
        let mut watch = Watch::start(Goal::Dark, ALARM_AFTER, at(0));
        let mut seen = Vec::new();
        let mut news = Vec::new();
        while let Some(next) = watch.next().filter(|_| seen.len() < 12) {
            seen.push(next.seconds());
            news.push(watch.on_look(Evidence::Live, next, Now::agreed(next)));
        }
        assert_eq!(seen, [1, 3, 6, 12, 25, 30, 45, 90, 180, 480, 780, 1080]);
        let alarms = news.iter().filter(|n| matches!(n, News::StillLive(_)));
        assert_eq!(alarms.count(), 1);
        assert_eq!(news[5], News::StillLive(ALARM_AFTER));
        let dark = watch.on_look(Evidence::Dark, UnixMs::from_seconds(1380), at(1380));
        assert_eq!(dark, News::Reached(Duration::from_secs(1380)));
        assert_eq!(watch.next(), Some(UnixMs::from_seconds(1410)));
        watch.on_look(Evidence::Dark, UnixMs::from_seconds(1410), at(1410));
        assert_eq!(watch.next(), None);
        assert_eq!(watch.reached(), Some(UnixMs::from_seconds(1380)));
    }

    #[test]
    fn unknown_is_neither_dark_nor_an_alarm() {
        let mut watch = Watch::start(Goal::Dark, ALARM_AFTER, at(0));
        for second in 1..100 {
            let news = watch.on_look(Evidence::Unknown, UnixMs::from_seconds(second), at(second));
            assert_eq!(news, News::None);
        }
        assert_eq!(watch.reached(), None);
    }

    #[test]
    fn a_look_begun_before_the_acceptance_proves_nothing() {
        let mut watch = Watch::start(Goal::Dark, ALARM_AFTER, at(10));
        let news = watch.on_look(Evidence::Dark, UnixMs::from_seconds(9), at(11));
        assert_eq!((news, watch.reached()), (News::None, None));
    }

    #[test]
    fn a_publisher_that_comes_back_is_news() {
        let mut watch = Watch::start(Goal::Dark, ALARM_AFTER, at(0));
        watch.on_look(Evidence::Dark, UnixMs::from_seconds(1), at(1));
        let news = watch.on_look(Evidence::Live, UnixMs::from_seconds(31), at(31));
        assert_eq!(news, News::LiveAgain);
        assert_eq!(watch.reached(), None);
    }

    #[test]
    fn after_a_resume_it_notes_the_return_and_gives_up_within_an_hour() {
        let mut watch = Watch::start(Goal::Live, ALARM_AFTER, at(0));
        let news = watch.on_look(Evidence::Dark, UnixMs::from_seconds(2), at(2));
        assert_eq!((news, watch.next()), (News::None, Some(UnixMs(5000))));
        let mut back = watch;
        let news = back.on_look(Evidence::Live, UnixMs(5000), at(5));
        assert_eq!(
            (news, back.next()),
            (News::Reached(Duration::from_secs(5)), None)
        );
        watch.on_look(Evidence::Dark, UnixMs::from_seconds(3600), at(3600));
        assert_eq!(watch.next(), None);
    }
}
