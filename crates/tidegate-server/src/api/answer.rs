//! The JSON that a call is answered with.

use bytes::Bytes;
use tidegate_core::RequestId;

use super::codes::Code;
use super::refusal::Refusal;

/// One answer.
pub(crate) struct Answer {
    pub(crate) code: Code,
    pub(crate) body: Bytes,
}

impl Answer {
    /// `data` is JSON.
    pub(crate) fn new(code: Code, message: &str, id: RequestId, data: &[u8]) -> Self {
        let body = compose(code.number(), message, &id.to_string(), data);
        Self {
            code,
            body: Bytes::from(body),
        }
    }

    pub(crate) fn refused(refusal: &Refusal, id: RequestId) -> Self {
        Self::new(refusal.code, &refusal.message, id, b"null")
    }

    /// An answer that was given before.
    pub(crate) fn again(text: &str) -> Self {
        Self {
            code: Code::Success,
            body: Bytes::copy_from_slice(text.as_bytes()),
        }
    }
}

/// The four documented fields.
pub(crate) fn compose(code: u32, message: &str, request_id: &str, data: &[u8]) -> Vec<u8> {
    let mut json = Vec::with_capacity(80 + message.len() + data.len());
    json.extend_from_slice(b"{\"Code\":");
    json.extend_from_slice(code.to_string().as_bytes());
    json.extend_from_slice(b",\"Message\":");
    push_text(&mut json, message);
    json.extend_from_slice(b",\"RequestId\":");
    push_text(&mut json, request_id);
    json.extend_from_slice(b",\"Data\":");
    json.extend_from_slice(data);
    json.push(b'}');
    json
}

/// Appends a JSON string.
pub(crate) fn push_text(json: &mut Vec<u8>, text: &str) {
    // Writing to memory cannot fail, and every text is a JSON string.
    let _ = serde_json::to_writer(json, text);
}
