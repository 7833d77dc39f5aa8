//! The body of a signed request: sent once, or kept so that it can be sent again.

mod body;
mod buffer;
mod error;
mod resend_handle;
mod shared_buffer;
#[cfg(test)]
mod tests;

pub use self::body::RequestBody;
pub use self::error::{RequestBodyError, RequestBodyErrorKind};
pub(crate) use self::resend_handle::ResendHandle;
