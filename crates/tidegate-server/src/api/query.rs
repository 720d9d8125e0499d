//! `QueryForbidCDNLiveStream`: what is forbidden at one vendor, from the recorded blocks.

use tidegate_ledger::{Target, Vendor};

use super::Call;
use super::actions::Found;
use super::answer::push_text;
use super::decisions::check_common;
use super::params::Params;
use super::refusal::{Refusal, shown};

/// Most rows in one answer.
const MOST: usize = 10_000;

pub(crate) fn forbidden(call: &Call<'_>, params: &Params<'_>) -> Result<Found, Refusal> {
    check_common(call, params)?;
    let word = params.required("Vendor")?;
    let vendor = Vendor::parse(word).ok_or_else(|| {
        Refusal::parameter(format!(
            "Vendor must be ws, aliyun, tencent, huawei or origin, came {}",
            shown(word)
        ))
    })?;
    let targets = targets(call, vendor);
    let engine = &call.attached.engine;
    let (blocks, blocked) = match targets.is_empty() {
        true => (Vec::new(), 0),
        false => engine.blocks().list(call.entry.app.id, MOST),
    };
    let total = blocked.saturating_mul(targets.len());
    let each = blocks
        .iter()
        .flat_map(|block| targets.iter().map(move |target| (block, target)));
    let mut rows = Vec::with_capacity(total.min(MOST) * 192);
    for (block, target) in each.take(MOST) {
        let (host, url_host) = match vendor {
            Vendor::Origin => (call.origin_host.channel(), call.origin_host.in_url()),
            _ => (&*target.publish_domain, &*target.publish_domain),
        };
        if !rows.is_empty() {
            rows.push(b',');
        }
        let url = format!("rtmp://{url_host}/{}/{}", target.rtmp_app, block.stream);
        rows.extend_from_slice(b"{\"Channel\":");
        push_text(&mut rows, host);
        rows.extend_from_slice(b",\"Url\":");
        push_text(&mut rows, &url);
        let times = format!(
            ",\"StartTime\":\"{}\",\"EndTime\":\"{}\",\"Ip\":\"\"}}",
            block.since,
            block.until.shown()
        );
        rows.extend_from_slice(times.as_bytes());
    }
    let message = match total {
        0..=MOST => "success".to_owned(),
        _ if targets.len() == 1 => {
            format!("success: the oldest {MOST} of {total} forbidden streams are shown")
        }
        _ => format!("success: the oldest {MOST} of {total} forbidden URLs are shown"),
    };
    Ok(Found {
        message,
        data: wrap(vendor, rows),
    })
}

/// The App's targets of this vendor; a removed one is none, though its bans may yet have to go.
fn targets<'a>(call: &'a Call<'_>, vendor: Vendor) -> Vec<&'a Target> {
    let directory = call.attached.engine.cdns().directory();
    let leaving = |target: &Target| {
        let known = directory.target(target.id);
        known.is_some_and(|known| known.target.leaving)
    };
    let all = call.entry.targets.iter();
    all.filter(|target| target.vendor == vendor && !leaving(target))
        .collect()
}

/// Puts the rows under the vendor's capitalised key.
fn wrap(vendor: Vendor, rows: Vec<u8>) -> Vec<u8> {
    let key = match vendor {
        Vendor::Origin => "Origin",
        Vendor::Ws => "Ws",
        Vendor::Aliyun => "Aliyun",
        Vendor::Tencent => "Tencent",
        Vendor::Huawei => "Huawei",
    };
    let mut data = format!("{{\"{key}\":{{\"ResultDetail\":[").into_bytes();
    data.extend(rows);
    data.extend_from_slice(b"]}}");
    data
}
