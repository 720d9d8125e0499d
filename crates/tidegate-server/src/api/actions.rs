//! The actions, one row each: what a failed authentication answers, the rate, and what serves it.

use tidegate_core::{AskKind, StreamId};

use super::codes::Code;
use super::params::Params;
use super::refusal::Refusal;
use super::{Call, decisions, query};
use crate::options::Rates;

/// One row.
pub(crate) struct Action {
    pub(crate) name: &'static str,
    /// What a failed authentication answers, as the action's page prints it.
    pub(crate) failed_auth: Code,
    pub(crate) serve: Serve,
}

/// How an action is carried out.
pub(crate) enum Serve {
    /// Answered from memory.
    Read(fn(&Call<'_>, &Params<'_>) -> Result<Found, Refusal>, Limit),
    /// Leads to a decision: its parameters are read here, the rest is common.
    Decide(fn(&Call<'_>, &Params<'_>) -> Result<Wish, Refusal>, Limit),
    /// Known to the protocol, not served.
    Unsupported,
}

/// Reads the rate of an action from the configuration.
pub(crate) type Limit = fn(&Rates) -> u32;

/// What a reading action answers.
pub(crate) struct Found {
    pub(crate) message: String,
    /// JSON of `Data`.
    pub(crate) data: Vec<u8>,
}

/// The decision that a call asks for.
pub(crate) struct Wish {
    pub(crate) stream: StreamId,
    pub(crate) kind: AskKind,
}

pub(crate) static ACTIONS: [Action; 10] = [
    Action {
        name: "ForbidCDNLiveStream",
        failed_auth: Code::CdnAuth,
        serve: Serve::Decide(decisions::forbid, |rates| rates.forbid_cdn_live_stream),
    },
    Action {
        name: "ResumeCDNLiveStream",
        failed_auth: Code::CdnAuth,
        serve: Serve::Decide(decisions::resume, |rates| rates.resume_cdn_live_stream),
    },
    Action {
        name: "QueryForbidCDNLiveStream",
        failed_auth: Code::CdnAuth,
        serve: Serve::Read(query::forbidden, |rates| rates.query_forbid_cdn_live_stream),
    },
    unsupported("ForbidRTCStream", Code::RtcAuth),
    unsupported("ResumeRTCStream", Code::RtcAuth),
    unsupported("ForbidRTCStreams", Code::RtcAuth),
    unsupported("ResumeRTCStreams", Code::RtcAuth),
    unsupported("CreatCDNTransferRule", Code::RelayAuth),
    unsupported("DeleteCDNTransferRule", Code::RelayAuth),
    unsupported("ClearCDNTransferRule", Code::RelayAuth),
];

const fn unsupported(name: &'static str, failed_auth: Code) -> Action {
    Action {
        name,
        failed_auth,
        serve: Serve::Unsupported,
    }
}

/// The row of this name, and its position.
pub(crate) fn find(name: &str) -> Option<(usize, &'static Action)> {
    ACTIONS
        .iter()
        .enumerate()
        .find(|(_, action)| action.name == name)
}
