//! Why a query has no answer.

use std::time::Duration;

use super::syntax::SyntaxError;
use crate::model::MatcherError;
use crate::storage::view::ViewError;

/// Why a query has no answer, and by that who must act: the client for all but the last.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The text or a parameter is not a valid query. HTTP 400.
    #[error("{0}")]
    BadData(String),
    /// The query met data that it has no answer for, or one of its limits. HTTP 422.
    #[error("{0}")]
    Execution(String),
    /// The time allowed passed first. HTTP 503.
    #[error("query timed out after {}: ask for less, or raise the query timeout", seconds(*.0))]
    Timeout(Duration),
    /// The client left. HTTP 499.
    #[error("query was canceled")]
    Cancelled,
    /// Stored data cannot be read. The operator must act. HTTP 500.
    #[error("{0}")]
    Internal(String),
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

impl QueryError {
    /// The `errorType` of Prometheus's HTTP interface.
    pub fn kind(&self) -> &'static str {
        match self {
            QueryError::BadData(_) => "bad_data",
            QueryError::Execution(_) => "execution",
            QueryError::Timeout(_) => "timeout",
            QueryError::Cancelled => "canceled",
            QueryError::Internal(_) => "internal",
        }
    }

    pub(super) fn bad_data(what: impl Into<String>) -> QueryError {
        QueryError::BadData(what.into())
    }

    pub(super) fn execution(what: impl Into<String>) -> QueryError {
        QueryError::Execution(what.into())
    }
}

impl From<SyntaxError> for QueryError {
    fn from(error: SyntaxError) -> QueryError {
        QueryError::BadData(error.to_string())
    }
}

impl From<ViewError> for QueryError {
    fn from(error: ViewError) -> QueryError {
        match error {
            ViewError::Corruption { .. } => QueryError::Internal(error.to_string()),
            ViewError::TooManySeries { .. } => {
                QueryError::Execution(format!("{error}: narrow it, or raise the query series limit"))
            }
        }
    }
}

impl From<MatcherError> for QueryError {
    fn from(error: MatcherError) -> QueryError {
        QueryError::BadData(error.to_string())
    }
}
