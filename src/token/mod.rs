//! The token endpoint: request, answer, error codes, transport.

mod answer;
mod builder;
mod endpoint;
mod error_code;
mod fields;
#[cfg(feature = "transport")]
mod hyper_transport;
mod limiter;
mod outcome;
mod request;
mod token_set;
mod transport;

pub use answer::parse_answer;
pub use builder::{EndpointError, EndpointErrorKind, TokenEndpointBuilder};
pub use endpoint::{Connected, TokenEndpoint};
pub use error_code::{ErrorCode, Meaning};
#[cfg(feature = "transport")]
#[cfg_attr(docsrs, doc(cfg(feature = "transport")))]
pub use hyper_transport::HyperTransport;
pub use outcome::{Ambiguous, AmbiguousKind, Outcome, Refusal, Unsent, UnsentKind};
pub use token_set::TokenSet;
pub use transport::{
    Connection, MAX_ANSWER_LEN, SendError, SendErrorKind, Transport, TransportError,
};
