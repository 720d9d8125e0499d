//! What was asked, and what it does to a stream's block.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{Generation, RequestId, StreamKey};
use crate::time::UnixMs;

/// When a block ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Until {
    /// At this instant.
    At(UnixMs),
    /// When somebody lifts it.
    Lifted,
}

impl Until {
    /// The instant to show where one must be shown: no end is 9999-12-31T23:59:59Z.
    pub fn shown(self) -> UnixMs {
        match self {
            Self::At(at) => at.min(UnixMs::LAST),
            Self::Lifted => UnixMs::LAST,
        }
    }

    /// The later of two ends.
    pub fn later(self, other: Self) -> Self {
        match (self, other) {
            (Self::At(a), Self::At(b)) => Self::At(a.max(b)),
            _ => Self::Lifted,
        }
    }
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(at) => write!(f, "until {at}"),
            Self::Lifted => f.write_str("until lifted"),
        }
    }
}

/// Who asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Actor {
    /// The App itself, by a signed call of the Server API.
    App {
        /// Address of the caller.
        client: IpAddr,
    },
    /// An operator, by `/v1` or the command line.
    Operator {
        /// The name the operator gave.
        name: String,
        /// Address of the caller.
        client: IpAddr,
    },
}

/// The end that a forbid asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AskedEnd {
    /// This instant, which may be earlier than the end in force.
    At(UnixMs),
    /// This long from now unless a standing block already lasts longer.
    AtLeast(Duration),
    /// No end.
    Lifted,
}

/// What is asked of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AskKind {
    /// Take it off the air.
    Forbid(AskedEnd),
    /// Bring it back.
    Resume,
}

impl AskKind {
    /// `forbid` or `resume`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Forbid(_) => "forbid",
            Self::Resume => "resume",
        }
    }
}

/// A request for a decision, already authenticated and admitted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ask {
    /// The stream.
    pub key: StreamKey,
    /// What is asked.
    pub kind: AskKind,
    /// Who asks.
    pub by: Actor,
    /// Why, in the asker's words.
    pub reason: Option<String>,
    /// When, by the server's clock.
    pub at: UnixMs,
    /// The request that carries it.
    pub request_id: RequestId,
}

/// The standing state of a forbidden stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Block {
    /// The decision that set its present end.
    pub generation: Generation,
    /// Since when the stream has been forbidden without a gap.
    pub since: UnixMs,
    /// When it ends.
    pub until: Until,
    /// A resume that was recorded while resumes are held, and waits for confirmation.
    pub held_resume: Option<Generation>,
}

/// What a decision does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The stream is forbidden by this block.
    Blocked(Block),
    /// The stream is open; whether it was blocked before.
    Opened {
        /// A block stood and was lifted by this.
        was_blocked: bool,
    },
    /// A resume was recorded, but resumes are held: the block stays in force.
    Held(Block),
}

impl Outcome {
    /// The block in force afterwards.
    pub fn block(&self) -> Option<Block> {
        match self {
            Self::Blocked(block) | Self::Held(block) => Some(*block),
            Self::Opened { .. } => None,
        }
    }
}

/// Decides `ask` over the block that stands, as decision number `generation` of its stream.
/// `hold_resumes` is true between the restore of a backup and its confirmation.
pub fn decide(
    standing: Option<&Block>,
    ask: &Ask,
    generation: Generation,
    hold_resumes: bool,
) -> Outcome {
    match ask.kind {
        AskKind::Forbid(end) => {
            let until = match end {
                AskedEnd::At(at) => Until::At(at),
                AskedEnd::Lifted => Until::Lifted,
                AskedEnd::AtLeast(length) => {
                    let until = Until::At(ask.at.plus(length));
                    standing.map_or(until, |block| block.until.later(until))
                }
            };
            let since = standing.map_or(ask.at, |block| block.since.min(ask.at));
            Outcome::Blocked(Block {
                generation,
                since,
                until,
                held_resume: None,
            })
        }
        AskKind::Resume => match standing {
            Some(block) if hold_resumes => Outcome::Held(Block {
                held_resume: Some(generation),
                ..*block
            }),
            standing => Outcome::Opened {
                was_blocked: standing.is_some(),
            },
        },
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::ids::{AppId, StreamId};

    const NOW: UnixMs = UnixMs(1_000_000);

    fn ask(kind: AskKind) -> Ask {
        Ask {
            key: StreamKey::new(AppId(1), StreamId::parse("cam").expect("valid")),
            kind,
            by: Actor::App {
                client: Ipv4Addr::LOCALHOST.into(),
            },
            reason: None,
            at: NOW,
            request_id: RequestId(7),
        }
    }

    fn standing(until: Until) -> Block {
        Block {
            generation: Generation(4),
            since: UnixMs(10),
            until,
            held_resume: None,
        }
    }

    fn until_after(standing: Option<Block>, end: AskedEnd) -> Until {
        let outcome = decide(
            standing.as_ref(),
            &ask(AskKind::Forbid(end)),
            Generation(5),
            false,
        );
        outcome.block().expect("a forbid blocks").until
    }

    #[test]
    fn a_forbid_without_an_end_never_shortens() {
        let day = AskedEnd::AtLeast(Duration::from_secs(86_400));
        let tomorrow = Until::At(UnixMs(NOW.0 + 86_400_000));
        let later = Until::At(UnixMs(NOW.0 + 90_000_000));
        assert_eq!(until_after(None, day), tomorrow);
        assert_eq!(
            until_after(Some(standing(Until::At(UnixMs(NOW.0 + 1)))), day),
            tomorrow
        );
        assert_eq!(until_after(Some(standing(later)), day), later);
        assert_eq!(
            until_after(Some(standing(Until::Lifted)), day),
            Until::Lifted
        );
    }

    #[test]
    fn an_explicit_end_may_shorten_and_no_end_is_explicit() {
        let soon = UnixMs(NOW.0 + 5);
        assert_eq!(
            until_after(Some(standing(Until::Lifted)), AskedEnd::At(soon)),
            Until::At(soon)
        );
        assert_eq!(
            until_after(Some(standing(Until::At(soon))), AskedEnd::Lifted),
            Until::Lifted
        );
    }

    #[test]
    fn a_repeated_forbid_keeps_since_and_takes_the_new_generation() {
        let block = standing(Until::Lifted);
        let again = decide(
            Some(&block),
            &ask(AskKind::Forbid(AskedEnd::Lifted)),
            Generation(5),
            false,
        );
        let want = Block {
            generation: Generation(5),
            ..block
        };
        assert_eq!(again, Outcome::Blocked(want));
    }

    #[test]
    fn resume_opens_unless_resumes_are_held() {
        let block = standing(Until::Lifted);
        let resume = ask(AskKind::Resume);
        let opened = decide(Some(&block), &resume, Generation(5), false);
        assert_eq!(opened, Outcome::Opened { was_blocked: true });
        assert_eq!(
            decide(None, &resume, Generation(5), true),
            Outcome::Opened { was_blocked: false }
        );
        let held = decide(Some(&block), &resume, Generation(5), true);
        assert_eq!(
            held.block().and_then(|b| b.held_resume),
            Some(Generation(5))
        );
        let forbid = ask(AskKind::Forbid(AskedEnd::Lifted));
        let again = decide(held.block().as_ref(), &forbid, Generation(6), true);
        assert_eq!(
            again.block().and_then(|b| b.held_resume),
            None,
            "a newer forbid drops the held resume"
        );
    }
}
