//! RFC 6750: the access token alone, in `Authorization: Bearer`.

mod refusals;
mod vendor;

pub use vendor::Bearer;
