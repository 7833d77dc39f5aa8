//! What every way of signing needs: prepared keys, and errors that name a field. Pure: no I/O, no
//! clock, no async.
//!
//! How a provider has requests signed is in its room, [`provider`](crate::provider).
//!
//! ```
//! use tower_mac_auth::MacKeyText;
//! use tower_mac_auth::sign::{Algorithm, MacKey};
//!
//! let key = MacKey::new(Algorithm::HmacSha1, &MacKeyText::new("Jefe"))?;
//! assert_eq!(key.mac(b"what do ya want for nothing?"), "7/zfauXrL6LSdBbV8YTfnCWafHk=");
//! assert_eq!(key.hex(b"what do ya want for nothing?"), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
//! # Ok::<(), tower_mac_auth::sign::SignError>(())
//! ```

mod algorithm;
pub(crate) mod base64;
pub(crate) mod class;
pub(crate) mod digits;
pub(crate) mod encode;
mod error;
mod hmac;
mod key;
pub(crate) mod lines;
pub(crate) mod spill;

pub use algorithm::{Algorithm, AlgorithmError};
pub(crate) use encode::Text;
pub use error::{SignError, SignErrorKind};
pub use key::MacKey;
pub(crate) use key::hex;
