//! (being built)

mod authority;
mod hint;
mod refusal;
mod request_body;
mod response_body;
#[cfg(test)]
mod scripted;

pub use authority::{AllowedAuthorities, AuthorityError, AuthorityErrorKind, InvalidAuthority};
pub use refusal::{Head, Refusal, RefusalPolicy, XiaomiRefusals};
pub use request_body::{RequestBody, RequestBodyError, RequestBodyErrorKind};
pub use response_body::ResponseBody;
