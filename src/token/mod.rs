//! The token endpoint: how it is reached, and what became of the one request.
//!
//! A refresh token works once, so "it failed" is too little to know. An [`Outcome`] says which of
//! five things happened:
//!
//! - [`Tokens`](Outcome::Tokens): the token is spent, and here are the next;
//! - [`Unsent`](Outcome::Unsent): nothing has left, and the token may be presented later;
//! - [`RateLimited`](Outcome::RateLimited): the request was turned away, and the token may be presented
//!   later;
//! - [`Refused`](Outcome::Refused), with a code and its [`Meaning`];
//! - [`Ambiguous`](Outcome::Ambiguous): nobody knows, and the token must be taken as spent.
//!
//! A request takes two calls. [`TokenEndpoint::connect`] does all that can fail or take long, and
//! sends nothing; [`Connected::refresh`] then presents the token. Between the two, write down
//! what is about to be presented: after a crash, that note is all there is.
//!
//! ```
//! use tower_mac_auth::RefreshToken;
//! use tower_mac_auth::provider::Xiaomi;
//! use tower_mac_auth::token::{Meaning, Outcome, TokenEndpoint, Unsent};
//!
//! async fn rotate(endpoint: &TokenEndpoint, token: &RefreshToken) -> Result<(), Unsent> {
//!     let connected = endpoint.connect().await?;
//!     // Put down durably here that `token` is being presented.
//!     match connected.refresh(token).await {
//!         Outcome::Tokens(tokens) => println!("for {:?}", tokens.expires_in),
//!         Outcome::Unsent(unsent) => return Err(unsent),
//!         Outcome::RateLimited(busy) => println!("{busy}: present it again then"),
//!         Outcome::Refused(no) if no.meaning() == Meaning::GrantEnded => {
//!             println!("the user must authorize again");
//!         }
//!         Outcome::Refused(no) => println!("{no}"),
//!         Outcome::Ambiguous(doubt) => println!("{doubt}: never present this token again"),
//!     }
//!     Ok(())
//! }
//!
//! # #[cfg(feature = "transport")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let xiaomi = Xiaomi::new("my-client", "my-secret", "https://me.example/callback")
//!     .with_token_url("http://127.0.0.1:1/oauth2/token"); // nobody listens here
//! let endpoint = TokenEndpoint::builder(xiaomi).build()?;
//! let unsent = rotate(&endpoint, &RefreshToken::new("R-1")).await.unwrap_err();
//! assert_eq!(unsent.to_string(), "nothing was sent to the token endpoint: no connection");
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "transport"))]
//! # fn main() {}
//! ```
//!
//! The client's secret and the token travel in the URL, because that is what the provider wants.
//! So nothing here shows a URL: the outcome, every error under it and every log are free of what
//! was sent, and the buffers that this crate makes for it are wiped. What hyper, rustls, the
//! decoders of a compressed answer and the operating system copy is out of reach.

mod answer;
mod authorize_url;
mod builder;
#[cfg(feature = "transport")]
mod connector;
pub(crate) mod content_coding;
mod endpoint;
#[cfg(feature = "transport")]
mod hyper_transport;
mod limiter;
mod redact;
mod spelling;
mod transport;

/// What a [`Transport`] returns: `futures_core`'s, for those who implement the trait.
#[doc(no_inline)]
pub use futures_core::future::BoxFuture;

/// What an endpoint is made with, and answers.
#[doc(no_inline)]
pub use crate::provider::{
    Ambiguous, AmbiguousKind, EndpointError, EndpointErrorKind, GrantType, Meaning, Outcome,
    RateLimited, Refused, TokenSet, Unsent, UnsentKind,
};
pub use authorize_url::AuthorizeUrl;
pub use builder::TokenEndpointBuilder;
pub use endpoint::{Connected, TokenEndpoint};
#[cfg(feature = "transport")]
#[cfg_attr(docsrs, doc(cfg(feature = "transport")))]
pub use hyper_transport::HyperTransport;
pub use transport::{
    Connection, MAX_ANSWER_LEN, SendError, SendErrorKind, Transport, TransportError,
};

/// For [`HyperTransport::with_tls_config`].
#[cfg(feature = "transport")]
#[cfg_attr(docsrs, doc(cfg(feature = "transport")))]
#[doc(no_inline)]
pub use rustls;
