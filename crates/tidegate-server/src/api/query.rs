//! `QueryForbidCDNLiveStream`: what is forbidden at one vendor, from the recorded blocks.

use tidegate_ledger::Vendor;

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
    let target = call
        .entry
        .targets
        .iter()
        .find(|target| target.vendor == vendor);
    let Some(target) = target else {
        return Ok(Found {
            message: "success".to_owned(),
            data: wrap(vendor, Vec::new()),
        });
    };
    let (blocks, total) = call.attached.engine.blocks().list(call.entry.app.id, MOST);
    let (host, url_host) = match vendor {
        Vendor::Origin => (call.origin_host.channel(), call.origin_host.in_url()),
        _ => (&*target.publish_domain, &*target.publish_domain),
    };
    let mut rows = Vec::with_capacity(blocks.len() * 192);
    for block in &blocks {
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
    let message = match blocks.len() {
        shown if shown < total => {
            format!("success: the oldest {shown} of {total} forbidden streams are shown")
        }
        _ => "success".to_owned(),
    };
    Ok(Found {
        message,
        data: wrap(vendor, rows),
    })
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
