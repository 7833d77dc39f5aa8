use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::attributes::quotable;
use crate::provider::RequestParts;
use crate::sign::SignError;

type Function = dyn Fn(&RequestParts<'_>) -> String + Send + Sync;

/// What goes into `ext`.
#[derive(Clone)]
pub(super) enum Ext {
    /// Which can be quoted.
    Text(String),
    Function(Arc<Function>),
}

impl Ext {
    /// # Errors
    ///
    /// Names `ext` when it cannot be quoted.
    pub(super) fn text(text: String) -> Result<Self, SignError> {
        quotable("ext", &text)?;
        Ok(Self::Text(text))
    }

    /// # Errors
    ///
    /// Names `ext` when it cannot be quoted.
    #[inline]
    pub(super) fn of(&self, request: &RequestParts<'_>) -> Result<Cow<'_, str>, SignError> {
        match self {
            Self::Text(text) => Ok(Cow::Borrowed(text)),
            Self::Function(function) => {
                let text = function(request);
                quotable("ext", &text)?;
                Ok(Cow::Owned(text))
            }
        }
    }
}

impl fmt::Debug for Ext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is in it is between the server and the user.
        f.write_str(match self {
            Self::Text(text) if text.is_empty() => "none",
            Self::Text(_) => "text",
            Self::Function(_) => "function",
        })
    }
}
