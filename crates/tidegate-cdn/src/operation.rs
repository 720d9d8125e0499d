//! What can be asked of a vendor, and what it answers.

use tidegate_core::{StreamId, UnixMs};

use crate::object::{Site, VendorObject};

/// One call. `until` is the end that goes on the wire, already within the vendor's limits
/// ([`crate::Limits::end_to_send`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation<'a> {
    /// Ban and cut.
    Forbid {
        /// Whom.
        object: &'a VendorObject,
        /// Until when.
        until: UnixMs,
    },
    /// Move the end of a standing ban.
    ChangeEnd {
        /// Whose.
        object: &'a VendorObject,
        /// To when.
        until: UnixMs,
    },
    /// Lift a ban.
    Resume(&'a VendorObject),
    /// Cut once; the publisher may come back at once.
    Kick(&'a VendorObject),
    /// One page of the bans that the vendor keeps for a site, or for its whole account.
    ListForbidden {
        /// Whose.
        site: &'a Site,
        /// Which page.
        page: Page,
    },
    /// Whether one object is banned.
    FindForbidden(&'a VendorObject),
    /// Whether one stream is live.
    StreamState(&'a VendorObject),
    /// One page of the streams that are live.
    Online {
        /// Whose.
        site: &'a Site,
        /// Which page.
        page: Page,
    },
}

impl Operation<'_> {
    /// Which kind of call it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Forbid { .. } => Kind::Forbid,
            Self::ChangeEnd { .. } => Kind::ChangeEnd,
            Self::Resume(_) => Kind::Resume,
            Self::Kick(_) => Kind::Kick,
            Self::ListForbidden { .. } => Kind::ListForbidden,
            Self::FindForbidden(_) => Kind::FindForbidden,
            Self::StreamState(_) => Kind::StreamState,
            Self::Online { .. } => Kind::Online,
        }
    }
}

/// The kinds of call, for limits and metrics.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// [`Operation::Forbid`].
    Forbid,
    /// [`Operation::ChangeEnd`].
    ChangeEnd,
    /// [`Operation::Resume`].
    Resume,
    /// [`Operation::Kick`].
    Kick,
    /// [`Operation::ListForbidden`].
    ListForbidden,
    /// [`Operation::FindForbidden`].
    FindForbidden,
    /// [`Operation::StreamState`].
    StreamState,
    /// [`Operation::Online`].
    Online,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Forbid,
        Self::ChangeEnd,
        Self::Resume,
        Self::Kick,
        Self::ListForbidden,
        Self::FindForbidden,
        Self::StreamState,
        Self::Online,
    ];

    /// A word for logs and metric labels.
    pub fn word(self) -> &'static str {
        match self {
            Self::Forbid => "forbid",
            Self::ChangeEnd => "change_end",
            Self::Resume => "resume",
            Self::Kick => "kick",
            Self::ListForbidden => "list_forbidden",
            Self::FindForbidden => "find_forbidden",
            Self::StreamState => "stream_state",
            Self::Online => "online",
        }
    }
}

/// Which part of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Page {
    /// From 0, whatever the vendor counts from.
    pub number: u32,
    /// Entries a page; brought into the vendor's range.
    pub size: u32,
}

impl Page {
    /// The first page, as large as the vendor allows.
    pub const FIRST: Self = Self {
        number: 0,
        size: u32::MAX,
    };

    pub(crate) fn within(self, least: u32, most: u32) -> Self {
        Self {
            number: self.number,
            size: self.size.clamp(least, most),
        }
    }
}

/// What a vendor answered, with what is needed to talk to it about the call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer<T> {
    /// What it says.
    pub value: T,
    /// The vendor's id of the call, escaped.
    pub request_id: Option<String>,
    /// The vendor's own words, escaped and bounded; may be empty.
    pub words: String,
    /// The answer's `Date` header: the vendor's clock.
    pub date: Option<UnixMs>,
}

impl<T> Answer<T> {
    /// The same answer about something else.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Answer<U> {
        Answer {
            value: f(self.value),
            request_id: self.request_id,
            words: self.words,
            date: self.date,
        }
    }
}

/// The value of an [`Answer`], by the kind of call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// To forbid, change of end, resume and kick.
    Done(Done),
    /// To a list of bans.
    Forbidden(ForbiddenPage),
    /// To the search for one ban.
    Standing(Standing),
    /// To a question of state.
    State(StreamState),
    /// To a list of live streams.
    Online(OnlinePage),
}

/// How a change went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Done {
    /// The vendor took it; for a ban, until when as sent, which may be sooner than asked.
    Accepted {
        /// End of the ban at the vendor; `None` for resume and kick.
        until: Option<UnixMs>,
    },
    /// It was so before. Says nothing of the end of a ban.
    AlreadySo,
}

/// One ban in a vendor's list. Texts are as sent; escape them where they are shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ForbiddenEntry {
    /// Domain, where the list tells.
    pub domain: Option<String>,
    /// RTMP app, where the list tells.
    pub app: Option<String>,
    /// Stream name.
    pub stream: String,
    /// End, where the list tells.
    pub until: Option<UnixMs>,
}

impl ForbiddenEntry {
    /// Whether this may be the ban of `object`. Tencent's list prefixes names with a number of the
    /// account (`5000_name`), so there both forms fit.
    pub fn fits(&self, object: &VendorObject) -> bool {
        let site = object.site();
        let domain = self.domain.as_deref();
        let domain_fits = domain.is_none_or(|d| {
            let play = site.play_domain();
            d.eq_ignore_ascii_case(site.publish_domain())
                || play.is_some_and(|play| d.eq_ignore_ascii_case(play))
        });
        let app_fits = self.app.as_deref().is_none_or(|app| app == site.rtmp_app());
        domain_fits && app_fits && self.names(object.stream())
    }

    fn names(&self, stream: &StreamId) -> bool {
        let prefixed = self.app.is_none() && self.domain.is_none();
        let bare = self.stream.split_once('_').filter(|(number, _)| {
            prefixed && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
        });
        self.stream == stream.as_str() || bare.is_some_and(|(_, name)| name == stream.as_str())
    }
}

/// A page of bans.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ForbiddenPage {
    /// The bans.
    pub entries: Vec<ForbiddenEntry>,
    /// How many there are in all, where the vendor tells.
    pub total: Option<u64>,
    /// Whether another page follows. Never after an empty one.
    pub more: bool,
}

/// Whether one object is banned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It is; with the end, where the vendor tells.
    Forbidden {
        /// End of the ban.
        until: Option<UnixMs>,
    },
    /// It is not.
    Free,
}

/// What a vendor says of one stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StreamState {
    /// Being published.
    Live,
    /// Not being published.
    Idle,
    /// Banned.
    Forbidden,
}

/// One live stream. Texts are as sent; escape them where they are shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OnlineEntry {
    /// Publish domain, where the list tells.
    pub domain: Option<String>,
    /// RTMP app.
    pub app: String,
    /// Stream name.
    pub stream: String,
    /// When it began, where the list tells.
    pub since: Option<UnixMs>,
}

/// A page of live streams.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OnlinePage {
    /// The streams.
    pub entries: Vec<OnlineEntry>,
    /// How many there are in all, where the vendor tells.
    pub total: Option<u64>,
    /// Whether another page follows. Never after an empty one.
    pub more: bool,
}
