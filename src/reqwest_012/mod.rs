//! [`MacAuthLayer`] around a [`reqwest::Client`] of the line 0.12: a `Service` of reqwest's own requests
//! and responses, as of reqwest 0.13.
//!
//! ```no_run
//! # async fn run(account: tower_mac_auth::account::Account) -> Result<(), Box<dyn std::error::Error>> {
//! // Of one's own the crate is `reqwest`.
//! use tower::{Layer, ServiceExt};
//! use tower_mac_auth::layer::MacAuthLayer;
//! use tower_mac_auth::reqwest_012::reqwest::{Client, Method, Request, redirect};
//!
//! let client = Client::builder().redirect(redirect::Policy::none()).build()?;
//! let client = MacAuthLayer::new(account).layer(client);
//!
//! let url = "https://open.account.xiaomi.com/user/profile".parse()?;
//! let response = client.oneshot(Request::new(Method::GET, url)).await?;
//! println!("{}", response.text().await?);
//! # Ok(())
//! # }
//! ```
//!
//! What is signed, and what to know of redirects, bodies, time limits and errors, is said in the docs of
//! the feature `reqwest_013`, and holds here.
//!
//! [`MacAuthLayer`]: crate::layer::MacAuthLayer

// The code of the other version, for the types of this one.
#[path = "../reqwest_013/convert.rs"]
mod convert;
#[path = "../reqwest_013/service.rs"]
mod service;

pub use self::service::ResponseFuture;

pub use reqwest_012 as reqwest;
