//! What a gateway does to a request that comes in, before it is signed, and to the response, before it
//! goes back.
//!
//! A request that a server received is not fit to be sent on: its URI lacks the API's host, or has the
//! server's own; its `Host` names the gateway; some of its headers were meant for this connection
//! alone; and if it came by HTTP/2, a client for HTTP/1.1 refuses it. [`Upstream`] mends all that:
//!
//! ```
//! use http::Request;
//! use tower_mac_auth::forward::Upstream;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let upstream = Upstream::new("https://open.account.xiaomi.com")?.with_via("gateway-1")?;
//!
//! let mut request = Request::get("/user/profile?a=b")
//!     .header("host", "gateway.internal")
//!     .header("connection", "close, x-trace")
//!     .header("x-trace", "7")
//!     .body(())?;
//! let asked = upstream.request(&mut request)?;
//! // To be kept for `upstream.response(&asked, …)`.
//! assert!(!asked.wants_upgrade());
//!
//! assert_eq!(request.uri(), "https://open.account.xiaomi.com/user/profile?a=b");
//! assert_eq!(request.headers().len(), 1);
//! assert_eq!(request.headers()["via"], "1.1 gateway-1");
//! # Ok(())
//! # }
//! ```
//!
//! It belongs outside the [layer](crate::layer), and who calls it, inside whatever finds out on whose
//! behalf the request is made. The caller's own `Authorization` is replaced by the layer.
//!
//! | of the request | what is done | why |
//! |---|---|---|
//! | host and scheme of the URI | those of the API | that is what is signed, and where it goes |
//! | `Host` | taken off | the client writes the one of the URI |
//! | `Connection`, what it names, `Keep-Alive`, `Proxy-*`, `Transfer-Encoding`, `Upgrade`, `TE` but for `trailers` | taken off | they are about one connection, RFC 9110 §7.6.1 |
//! | `Expect` | taken off | the server has answered it |
//! | several `Cookie` | made one | HTTP/2 splits them, HTTP/1.1 may not, RFC 9113 §8.2.3 |
//! | `Via` | the gateway is added, if it [has a name](Upstream::with_via) | to find loops, RFC 9110 §7.6.3 |
//! | version | 1.1 | the client speaks what it speaks |
//!
//! | `Max-Forwards` of `OPTIONS` | one less | RFC 9110 §7.6.2 |
//! | a trailer that says who asks, where it goes, or where the body ends | taken off by [`trailers`](Upstream::trailers) | RFC 9110 §6.5.1 |
//!
//! What cannot be told apart from an attack is refused: two hosts that differ, a body of two lengths or of an
//! odd coding, `TRACE`, a request that comes by a second time, a protocol that nobody asked for. See
//! [`ForwardError`].

mod asked;
mod error;
mod hop_by_hop;
mod upstream;
mod via;

pub use self::asked::Asked;
pub use self::error::{ForwardError, UpstreamError};
pub use self::upstream::Upstream;
