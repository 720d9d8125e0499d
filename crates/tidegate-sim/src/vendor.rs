//! The faces of the four vendors: how a call is read, carried out and refused, in their words.
//!
//! Where a vendor documents nothing, the face makes one choice and its module says so.

mod aliyun;
mod huawei;
mod tencent;
mod wangsu;

use crate::config::Vendor;
use crate::media::StreamName;
use crate::operation::Operation;
use crate::params::Params;
use crate::refusal::Refusal;
use crate::simulator::desk::Desk;
use crate::wire::{Reply, Request};

/// What a call is, as far as its request line, headers and parameters say.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) operation: Operation,
    pub(crate) action: String,
    pub(crate) name: Option<StreamName>,
}

/// What a refusal needs to know beside itself.
pub(crate) struct Scene<'a> {
    pub(crate) host: &'a str,
    pub(crate) request_id: &'a str,
}

pub(crate) fn read_params(vendor: Vendor, request: &Request) -> Result<Params, Refusal> {
    match vendor {
        Vendor::Aliyun => Ok(aliyun::read_params(request)),
        Vendor::Wangsu | Vendor::Tencent | Vendor::Huawei => {
            if matches!(request.method.as_str(), "GET" | "DELETE") {
                return Ok(Params::from_pairs(&request.raw_query));
            }
            Params::from_json(&request.body)
        }
    }
}

pub(crate) fn route(vendor: Vendor, request: &Request, params: &Params) -> Route {
    match vendor {
        Vendor::Wangsu => wangsu::route(request, params),
        Vendor::Aliyun => aliyun::route(request, params),
        Vendor::Tencent => tencent::route(request, params),
        Vendor::Huawei => huawei::route(request, params),
    }
}

pub(crate) fn perform(
    desk: &mut Desk<'_>,
    route: &Route,
    request: &Request,
    params: &Params,
) -> Result<Reply, Refusal> {
    match desk.config.vendor {
        Vendor::Wangsu => wangsu::perform(desk, route, params),
        Vendor::Aliyun => aliyun::perform(desk, route, params),
        Vendor::Tencent => tencent::perform(desk, route, params),
        Vendor::Huawei => huawei::perform(desk, route, request, params),
    }
}

pub(crate) fn refuse(vendor: Vendor, refusal: &Refusal, scene: &Scene<'_>) -> Reply {
    match vendor {
        Vendor::Wangsu => wangsu::refuse(refusal, scene),
        Vendor::Aliyun => aliyun::refuse(refusal, scene),
        Vendor::Tencent => tencent::refuse(refusal, scene),
        Vendor::Huawei => huawei::refuse(refusal, scene),
    }
}

/// A request id as the vendor prints it, from two random numbers.
pub(crate) fn request_id(vendor: Vendor, high: u64, low: u64) -> String {
    let digits = format!("{high:016x}{low:016x}");
    let dashed = || {
        let part = |range: std::ops::Range<usize>| digits.get(range).unwrap_or_default();
        [
            part(0..8),
            part(8..12),
            part(12..16),
            part(16..20),
            part(20..32),
        ]
        .join("-")
    };
    match vendor {
        Vendor::Aliyun => dashed().to_uppercase(),
        Vendor::Tencent => dashed(),
        Vendor::Wangsu | Vendor::Huawei => digits,
    }
}

/// One page of rows, and how many pages there are. Pages count from 1.
fn page<T>(rows: Vec<T>, number: usize, size: usize) -> (Vec<T>, usize) {
    let pages = rows.len().div_ceil(size.max(1));
    let skipped = number.saturating_sub(1).saturating_mul(size);
    (rows.into_iter().skip(skipped).take(size).collect(), pages)
}
