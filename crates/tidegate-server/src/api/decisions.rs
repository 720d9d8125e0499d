//! `ForbidCDNLiveStream` and `ResumeCDNLiveStream`: their parameters, and their answers.

use tidegate_core::{AskKind, AskedEnd, RequestId, StreamId, UnixMs};
use tidegate_engine::{Answered, DecideError, ResultWord, TargetResult};

use super::Call;
use super::actions::Wish;
use super::answer::{Answer, push_text};
use super::codes::Code;
use super::params::Params;
use super::refusal::{Refusal, shown};

pub(crate) fn forbid(call: &Call<'_>, params: &Params<'_>) -> Result<Wish, Refusal> {
    check_common(call, params)?;
    let stream = stream_id(params)?;
    let end = match params.text("ResumeTime")? {
        Some(text) => AskedEnd::At(resume_time(text, call.now)?),
        None => AskedEnd::AtLeast(call.entry.app.default_forbid.unwrap_or(call.default_forbid)),
    };
    Ok(Wish {
        stream,
        kind: AskKind::Forbid(end),
    })
}

pub(crate) fn resume(call: &Call<'_>, params: &Params<'_>) -> Result<Wish, Refusal> {
    check_common(call, params)?;
    Ok(Wish {
        stream: stream_id(params)?,
        kind: AskKind::Resume,
    })
}

/// What every CDN control action checks besides its own parameters.
pub(crate) fn check_common(call: &Call<'_>, params: &Params<'_>) -> Result<(), Refusal> {
    let is_test = params.text("IsTest")?.unwrap_or("");
    let valid = ["", "true", "false"]
        .iter()
        .any(|word| is_test.eq_ignore_ascii_case(word));
    if !valid {
        return Err(Refusal::parameter(format!(
            "IsTest must be true or false, came {}",
            shown(is_test)
        )));
    }
    if call.entry.targets.is_empty() {
        return Err(Refusal::new(
            Code::NotEnabled,
            "CDN control is not enabled for this App: it has no target",
        ));
    }
    Ok(())
}

fn stream_id(params: &Params<'_>) -> Result<StreamId, Refusal> {
    let text = params.required("StreamId")?;
    StreamId::parse(text).map_err(|why| {
        Refusal::parameter(format!(
            "StreamId must be 1 to 256 of A-Z a-z 0-9 _ -, came {}: {}",
            shown(text),
            tidegate_core::text::printable(&why.to_string(), 120)
        ))
    })
}

fn resume_time(text: &str, now: UnixMs) -> Result<UnixMs, Refusal> {
    let at = UnixMs::parse_utc(text).map_err(|why| {
        Refusal::parameter(format!(
            "ResumeTime must be a UTC instant such as 2026-05-01T00:00:00Z, came {}: {why}",
            shown(text)
        ))
    })?;
    if at <= now {
        return Err(Refusal::parameter(format!(
            "ResumeTime must be in the future, came {at}; the server's time is {now}"
        )));
    }
    Ok(at)
}

/// The answer to a recorded decision.
pub(crate) fn recorded(answered: &Answered) -> Answer {
    let vendors = worst_by_vendor(&answered.results);
    let mut data = vec![b'['];
    for result in &vendors {
        if data.len() > 1 {
            data.push(b',');
        }
        push_result(&mut data, result);
    }
    data.push(b']');
    Answer::new(
        Code::Success,
        &summary(&vendors),
        answered.request_id,
        &data,
    )
}

/// The answer to a decision that could not be recorded. What the ledger said is in the log.
pub(crate) fn unrecorded(error: &DecideError, id: RequestId) -> Answer {
    let words = match error {
        DecideError::ForbidNotRecorded(_) => {
            "the stream is cut and refused here, but the decision is not recorded: call again"
        }
        DecideError::ResumeNotRecorded(_) => {
            "the decision is not recorded and the stream stays as it is: call again"
        }
    };
    Answer::new(Code::NotRecorded, words, id, b"null")
}

/// One result a vendor, in the order in which vendors first come.
fn worst_by_vendor(results: &[TargetResult]) -> Vec<TargetResult> {
    let mut vendors: Vec<TargetResult> = Vec::new();
    for result in results {
        match vendors.iter_mut().find(|v| v.vendor == result.vendor) {
            Some(seen) if seen.result < result.result => *seen = result.clone(),
            Some(_) => {}
            None => vendors.push(result.clone()),
        }
    }
    vendors
}

fn push_result(data: &mut Vec<u8>, result: &TargetResult) {
    data.extend_from_slice(b"{\"CdnType\":");
    push_text(data, result.vendor.word());
    data.extend_from_slice(b",\"CdnResult\":");
    push_text(data, &format!("{}: {}", result.result.word(), result.words));
    data.push(b'}');
}

fn summary(vendors: &[TargetResult]) -> String {
    let named = |word: ResultWord| {
        let names: Vec<_> = vendors
            .iter()
            .filter(|v| v.result == word)
            .map(|v| v.vendor.word())
            .collect();
        names.join(", ")
    };
    let (pending, failed) = (named(ResultWord::Pending), named(ResultWord::Failed));
    match (pending.is_empty(), failed.is_empty()) {
        (true, true) => "success".to_owned(),
        (false, true) => format!("recorded; pending at {pending}"),
        (true, false) => format!("recorded; failed at {failed}"),
        (false, false) => format!("recorded; pending at {pending}, failed at {failed}"),
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::Generation;
    use tidegate_ledger::Vendor;

    use super::*;

    fn result(vendor: Vendor, result: ResultWord, words: &str) -> TargetResult {
        TargetResult {
            vendor,
            result,
            words: words.to_owned(),
        }
    }

    fn answer(results: Vec<TargetResult>) -> serde_json::Value {
        let answered = Answered {
            request_id: RequestId(7),
            generation: Generation(1),
            outcome: None,
            results,
        };
        serde_json::from_slice(&recorded(&answered).body).expect("JSON")
    }

    #[test]
    fn a_vendor_shows_the_worst_of_its_targets() {
        let answer = answer(vec![
            result(Vendor::Origin, ResultWord::Success, "cut"),
            result(Vendor::Ws, ResultWord::Success, "a"),
            result(Vendor::Ws, ResultWord::Failed, "b \"quoted\""),
            result(Vendor::Ws, ResultWord::Pending, "c"),
        ]);
        assert_eq!(
            answer["Data"],
            serde_json::json!([
                {"CdnType": "origin", "CdnResult": "success: cut"},
                {"CdnType": "ws", "CdnResult": "failed: b \"quoted\""},
            ])
        );
        assert_eq!(answer["Code"], 0);
        assert_eq!(answer["Message"], "recorded; failed at ws");
        assert_eq!(answer["RequestId"], "7");
    }

    #[test]
    fn the_message_is_success_only_when_every_cdn_accepted() {
        let (ok, pending) = (ResultWord::Success, ResultWord::Pending);
        let origin = result(Vendor::Origin, ok, "");
        assert_eq!(answer(vec![origin.clone()])["Message"], "success");
        let message = answer(vec![
            origin,
            result(Vendor::Ws, pending, ""),
            result(Vendor::Huawei, pending, ""),
            result(Vendor::Tencent, ResultWord::Failed, ""),
        ])["Message"]
            .clone();
        assert_eq!(
            message,
            "recorded; pending at ws, huawei, failed at tencent"
        );
    }
}
