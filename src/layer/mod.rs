//! (being built)

mod attempt;
mod authority;
mod error;
mod form;
mod future;
mod hint;
#[expect(
    clippy::module_inception,
    reason = "each middleware is a folder with these files"
)]
mod layer;
mod refusal;
mod request_body;
mod response_body;
#[cfg(test)]
mod scripted;
mod service;
mod sign;

pub use attempt::Attempt;
pub use authority::{AllowedAuthorities, AuthorityError, AuthorityErrorKind, InvalidAuthority};
pub use error::{AuthError, AuthErrorKind, Error};
pub use future::MacAuthFuture;
pub use layer::MacAuthLayer;
pub use refusal::{Head, Refusal, RefusalPolicy, XiaomiRefusals};
pub use request_body::{RequestBody, RequestBodyError, RequestBodyErrorKind};
pub use response_body::ResponseBody;
pub use service::MacAuth;
