//! The account: one grant of one user, its credential, and the one refresh at a time that renews it.
//!
//! An [`Account`] is opened with [tokens](AccountBuilder::tokens), with a bare
//! [refresh token](AccountBuilder::refresh_token), with an [authorization code](AccountBuilder::authorize),
//! or with what its [store](AccountBuilder::store) knows, and given to a [layer](crate::layer::MacAuthLayer).
//! A clone is the same account: all layers that hold one share its credential and its refresh.
//!
//! If the store knows the account, its record counts, and tokens that were given besides, which may be
//! spent, are not taken: [`Account::ignored_tokens`] says so.
//!
//! ```
//! # #[cfg(feature = "testing")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use tower_mac_auth::account::{Account, Event};
//! use tower_mac_auth::testing::Provider;
//!
//! // Stands in for `Xiaomi::new(…)` and a user who has just agreed.
//! let provider = Provider::new();
//! let (endpoint, code) = (provider.endpoint(), provider.authorization_code());
//!
//! let account = Account::builder(endpoint).authorize("user-42", code).await?;
//! let mut events = account.events();
//! let before = account.generation();
//!
//! // What the layer does when the API refuses a credential. Any number of callers, one refresh.
//! let (one, other) = (account.clone(), account.clone());
//! let refreshed = one.refresh_if_current(before).await?;
//! assert_eq!(other.refresh_if_current(before).await?, refreshed);
//! assert_eq!(provider.presentations().len(), 1);
//! assert!(matches!(events.next().await, Some(Event::Refreshed { generation, .. }) if generation == refreshed));
//!
//! account.shutdown().await;
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "testing"))]
//! # fn main() {}
//! ```
//!
//! # Many users
//!
//! [`Accounts`] has the accounts of all users of a client, by name. They are opened on demand, each
//! once however many ask at once, and share one endpoint, one store and one limit of requests. An
//! account that nobody holds may be closed to make [room](AccountsBuilder::capacity), and is opened
//! again when it is next asked for. It stays open while it is refreshed, while its tokens are on
//! their way into the store, and while only this process knows that its refresh token may be spent.
//!
//! ```
//! # #[cfg(feature = "testing")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! use http::Request;
//! use http_body_util::Empty;
//! use tower::{Layer, ServiceExt};
//! use tower_mac_auth::account::Accounts;
//! use tower_mac_auth::layer::MacAuthLayer;
//! use tower_mac_auth::testing::Provider;
//!
//! # let provider = Provider::new();
//! # let http_client = provider.api();
//! let accounts = Accounts::builder(provider.endpoint()).build();
//! // Once for each user, where the provider redirects them to.
//! accounts.authorize("user-42", provider.authorization_code()).await?;
//!
//! // A request to which nobody has given an account is not sent.
//! let client = MacAuthLayer::per_request(accounts.provider()).layer(http_client);
//!
//! // For each request: whose is it?
//! let account = accounts.get("user-42").await?;
//! let mut request = Request::get("https://open.account.xiaomi.com/user/profile")
//!     .body(Empty::<bytes::Bytes>::new())?;
//! request.extensions_mut().insert(account);
//! assert_eq!(client.oneshot(request).await?.status(), 200);
//!
//! accounts.shutdown().await;
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "testing"))]
//! # fn main() {}
//! ```
//!
//! However many credentials end at once, they are refreshed at the endpoint's
//! [rate](crate::token::TokenEndpointBuilder::requests_per_second). A refresh that requests wait for
//! queues for its turn, first come, first served, before it takes a lease. A refresh ahead of time
//! never queues: it goes only if nobody does, and otherwise a later request tries again within a
//! minute.
//!
//! # Many processes
//!
//! Processes that share a store hear of each other's writes. A rotation, a new authorization and a
//! revocation by one of them are obeyed by all of them, whichever notices first:
//!
//! - [`Accounts::get`] reads the record before it returns an account of which something was heard.
//! - A handle that is held already has the record read in the background by its next request, which
//!   it still signs. Once the record is read, the handle signs with the new credential, or refuses to
//!   sign if the grant was revoked.
//! - A store can fail to tell of a write. Then it is found by the next look, 30 s after the last at
//!   most, or 5 s if the store tells of nothing at all.
//!
//! While the store cannot be reached nothing is heard, and a live credential goes on signing.
//!
//! To **log a user out everywhere**, call [`Account::revoke`], or
//! [`RecordStore::revoke`](crate::store::RecordStore::revoke) with the name if the account is not
//! open. Every process obeys as above, and no rotation that is under way can undo it; a new
//! authorization can. The provider is not told: its tokens live on there until they end.
//!
//! ```
//! # #[cfg(feature = "testing")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use tower_mac_auth::account::Accounts;
//! use tower_mac_auth::store::{AccountName, MemoryStore, RecordStore};
//! # use tower_mac_auth::testing::Provider;
//! # let provider = Provider::new();
//! # let (endpoint, code) = (provider.endpoint(), provider.authorization_code());
//! let store = MemoryStore::new();
//! let accounts = Accounts::builder(endpoint).store(store.clone()).build();
//! accounts.authorize("user-42", code).await?;
//!
//! // In an administrator's program, say. It needs neither the endpoint nor an account.
//! store.revoke(&AccountName::new("user-42")?).await?;
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "testing"))]
//! # fn main() {}
//! ```
//!
//! # Words
//!
//! | word | meaning |
//! |---|---|
//! | account | one grant of one user to one client, by a name of your choice; one durable [`Record`](crate::store::Record) |
//! | [generation](crate::store::Generation) | 1, 2, 3…: a rotation is one more, a new authorization or a revocation two. A request knows the generation that signed it |
//! | snapshot | access token, prepared key and expiry of one generation. Swapped whole, so a token never meets another's key, and read without a lock |
//! | flight | the one refresh under way for an account in this process: a task of its own, with a deadline. Requests only watch it; a request that is dropped changes nothing |
//! | lease | who may refresh now, among processes that share a store |
//!
//! # Two questions
//!
//! May we sign? The credential is *live*; *aging*, once it is time to fetch the next; or *dead*,
//! when it has ended or the API has refused it. May we rotate? That depends on how the last flight
//! ended.
//!
//! | | nothing speaks against it | in flight | backing off | in doubt | revoked |
//! |---|---|---|---|---|---|
//! | **live** | sign | sign | sign | sign | sign |
//! | **aging** | sign, start a flight | sign | sign | sign | sign |
//! | **dead** | start a flight, wait | wait | fail at once, and say when | as the policy says, else fail at once | fail at once |
//!
//! No failure takes a live credential away. An account in doubt or revoked is looked up in its
//! store again when a request asks, every 30 s at most: another process may have the answer, or
//! the user may have authorized again.
//!
//! # What starts a refresh
//!
//! Always a request, or [`Account::refresh`], never a timer; an account that nobody uses is not refreshed.
//!
//! - A request that finds the credential aging starts a flight and does not wait for it. Each
//!   credential draws the moment anew: after 75 to 90 % of its life, at least a minute before its
//!   end, never in the first half of its life.
//! - A request that finds it dead starts or joins a flight, and waits.
//! - A refusal by the API makes it dead: [`Account::refresh_if_current`]. A credential that was
//!   rotated less than [`min_rotation_interval`](AccountBuilder::min_rotation_interval) ago stays as
//!   it is: refreshing cannot be the cure, and would burn a refresh token each time.
//!
//! # When a refresh fails
//!
//! | what happened | [`RefreshErrorKind`] | and then |
//! |---|---|---|
//! | not connected, no lease in time: nothing was sent | `Unsent`, `TimedOut` | the same token later: after 1 s, 2 s, 4 s… up to 5 min, with jitter |
//! | the endpoint answered 429 | `RateLimited` | the same token after the pause that `Retry-After` asks for, an hour at most; else after 1 s, 2 s, 4 s…. All accounts of the endpoint keep to it |
//! | the store failed | `Store` | after 1 s, 2 s, 4 s… up to 30 s; the token is not sent unless that could be written down first |
//! | refused, for the client's configuration | `Refused` | the token is kept; after up to 5 min, 10 min…, an hour at most |
//! | refused, the token is spent or has ended | `ReauthorizationRequired` | the store is watched for 2 s, in case another process spent it; then a user has to act |
//! | no answer, a reset, a 5xx, an unreadable answer, an unknown code | `InDoubt` | see below |
//! | issued, but no key that can sign | `UnusableAnswer` | the next refresh token is kept, and used after up to 5 min, 10 min… |
//! | asked again too early | `BackingOff` | its source says what failed |
//! | refused by the API right after a rotation | `RotatedRecently` | nothing |
//! | shut down; or task and runtime are gone | `Closed`, `Interrupted` | |
//!
//! # In doubt
//!
//! A refresh token was sent and the answer is lost. Perhaps it is spent, and a spent one presented
//! again can end the grant; nobody can know. The record says so durably, [`Event::InDoubt`] tells,
//! and the live access token goes on signing. The [`InDoubtPolicy`] says what may follow. The refresh
//! token is presented again
//!
//! - once the access token is dead, because there is nothing left to lose then (the default);
//! - within a grace window, if the provider documents one;
//! - or never.
//!
//! It is presented again once at most. If that answer is lost as well, the account stays in doubt.
//!
//! By default two more things must hold before it is presented again. A minute has passed since the
//! first time, so that a short outage does not lose both answers. (Where the API refused an access
//! token before its end, requests fail during that minute.) And the record has been watched for ten
//! seconds, so that a process that holds the answer, and could not reach the store, comes first.
//!
//! A new [authorization](Account::authorize) ends the doubt at any time.
//!
//! # Events
//!
//! [`Account::events`] has the events of an account from then on, and [`Accounts::events`] those of all
//! accounts, with their names. Each is a `tracing` event as well. [`Account::status`] says where the
//! account stands, and [`numbers`] how often what has happened.
//!
//! | event | what to do |
//! |---|---|
//! | `Refreshed`, `Adopted`, `Authorized`, `Revoked` | nothing |
//! | `ReauthorizationRequired` | have the user authorize again, before `deadline` if there is one; if it `may_recover`, the refresh token is still to be presented again, which may cure it |
//! | `InDoubt` | find out why answers get lost: the event says what became of this one |
//! | `RefreshFailed` | if its error is `Refused`: mend the client's configuration. If `Store`: mend the store |
//! | `CommitDelayed` | mend the store, and do not kill this process: only it has the new tokens |
//! | `RejectedFresh` | the API refuses what was just issued: see whether it accepts the user, the scopes, the host |
//! | `ClockCorrected` | set this machine's clock |
//! | `Lagged` | read faster: events were missed |
//!
//! ```
//! # #[cfg(feature = "testing")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use std::time::Duration;
//! use tower_mac_auth::account::{Account, Event, RefreshErrorKind};
//! use tower_mac_auth::testing::{Fault, Provider};
//!
//! let provider = Provider::new();
//! let tokens = provider.issue(Duration::from_secs(3600));
//! let access_token = tokens.access_token.clone();
//! let account = Account::builder(provider.endpoint()).tokens(tokens).open("user-42").await?;
//! let mut events = account.events();
//!
//! // The provider rotates, and its answer is lost.
//! provider.fault_next(Fault::ConsumedThenReset);
//! let lost = account.refresh_if_current(account.generation()).await.unwrap_err();
//! assert_eq!(lost.kind(), RefreshErrorKind::InDoubt);
//! assert!(matches!(events.next().await, Some(Event::InDoubt { .. })));
//! assert!(matches!(events.next().await, Some(Event::ReauthorizationRequired { .. })));
//!
//! // The user agrees once more, and all is well.
//! let code = provider.authorization_code_of(&access_token).ok_or("a user")?;
//! account.authorize(code).await?;
//! assert!(account.expires_at().is_some());
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "testing"))]
//! # fn main() {}
//! ```
//!
//! # Runtimes
//!
//! A refresh or an authorization outlives its request: it is a task on the runtime that opened the account.
//!
//! - If that runtime is gone, the runtime of the next request that waits for a refresh takes its place.
//!   Until then no refresh is made ahead of time: a runtime that ends with its request loses the answer.
//! - If that runtime is there and nobody drives it (`current_thread`, between two `block_on`), a
//!   refresh that has not begun after a second is taken over by the runtime of a request that waits
//!   for it. A refresh that has begun is waited for as long as it could take if it were driven: the
//!   two timeouts and half a minute. Then the request fails with `TimedOut`.
//! - No refresh is begun twice.
//!
//! # Before the process ends
//!
//! Await [`Account::shutdown`], or [`Accounts::shutdown`] for all of them. No new refresh begins; a
//! refresh that has not sent its refresh token is called off; one that has is waited for until the new
//! tokens are in the store. A process that is killed between the two leaves the account in doubt.

#[expect(clippy::module_inception, reason = "where `Account` is looked for")]
mod account;
mod account_error;
mod accounts;
mod authorize;
mod builder;
mod context;
mod credential;
mod event;
mod hearing;
mod kinds;
mod knobs;
pub mod numbers;
mod policy;
mod refresh;
mod refresh_error;
pub(crate) mod rotation;
mod state;
mod status;
mod tasks;
mod work;

pub use account::Account;
pub use account_error::{AccountError, AccountErrorKind};
pub use accounts::Accounts;
pub use builder::{AccountBuilder, AccountsBuilder};
pub use event::{AccountEvent, Event, Events};
pub(crate) use numbers::Counters;
pub use policy::InDoubtPolicy;
pub use refresh::Refresh;
pub(crate) use refresh::{Ready, Signer};
pub use refresh_error::{RefreshError, RefreshErrorKind};
pub use status::{AccessStatus, AccountStatus, RotationStatus};
