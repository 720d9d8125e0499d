//! What a refused or failed `/v1` call answers.

use std::fmt::Display;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode};
use serde_json::json;
use tidegate_engine::cdns::CdnError;
use tidegate_engine::{AppError, DecideError};
use tidegate_ledger::LedgerError;

/// Status, code and words.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", message)
    }

    pub(super) fn too_large(max: usize) -> Self {
        let message = format!("the body may have {max} bytes at most");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "invalid", message)
    }

    pub(super) fn wrong_method(method: &Method) -> Self {
        let message = format!("{method} is not served here; docs/rest-v1.md lists the calls");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "invalid", message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(super) fn unauthorised(message: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorised", message)
    }

    pub(super) fn forbidden(message: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    fn conflict(message: impl Display) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", message.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let error = json!({"code": self.code, "message": self.message});
        (self.status, Json(json!({ "error": error }))).into_response()
    }
}

impl From<LedgerError> for ApiError {
    fn from(error: LedgerError) -> Self {
        let words = error.to_string();
        match error {
            LedgerError::Unavailable { .. } | LedgerError::Locked(_) => Self::unavailable(words),
            LedgerError::Conflict(_) => Self::conflict(words),
            LedgerError::NoSuchApp(_)
            | LedgerError::NoSuchAccount(_)
            | LedgerError::NoSuchTarget(_) => Self::not_found(words),
            LedgerError::Key(_) | LedgerError::Corrupt(_) | LedgerError::Unsuitable(_) => {
                Self::internal(words)
            }
        }
    }
}

impl From<AppError> for ApiError {
    fn from(error: AppError) -> Self {
        let words = error.to_string();
        match error {
            AppError::Name | AppError::RtmpApp => Self::invalid(words),
            AppError::Unknown(_) => Self::not_found(words),
            AppError::Random(_) => Self::internal(words),
            AppError::Ledger(error) => error.into(),
        }
    }
}

impl From<CdnError> for ApiError {
    fn from(error: CdnError) -> Self {
        let words = error.to_string();
        match error {
            CdnError::UnknownAccount { .. }
            | CdnError::UnknownApp(_)
            | CdnError::UnknownTarget(_) => Self::not_found(words),
            CdnError::NameTaken(_)
            | CdnError::KeyTaken(_)
            | CdnError::InUse { .. }
            | CdnError::TargetTaken(_) => Self::conflict(words),
            CdnError::Vendor(_)
            | CdnError::DotName(_)
            | CdnError::Scheme { .. }
            | CdnError::Account(_)
            | CdnError::OtherVendor { .. }
            | CdnError::Site(_)
            | CdnError::Template(_)
            | CdnError::TooManyTemplates(_)
            | CdnError::PlayKey => Self::invalid(words),
            CdnError::Looker(_) => Self::internal(words),
            CdnError::Ledger(error) => error.into(),
        }
    }
}

impl From<DecideError> for ApiError {
    fn from(error: DecideError) -> Self {
        Self::unavailable(error.to_string())
    }
}
