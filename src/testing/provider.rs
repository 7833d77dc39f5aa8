use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::answer::RefusalStyle;
use super::api_faults::ApiFaults;
use super::builder::ProviderBuilder;
use super::config::Config;
use super::dialect::Nonces;
use super::faults::Faults;
use super::gate::Gate;
use super::grants::Grants;
use super::record::Records;
use super::{AcceptedRequest, Fault, Presentation, RefusedRequest};
use crate::token::TokenSet;
use crate::{AccessToken, AuthorizationCode, ClientSecret};

/// A strict provider of tokens, and the API that takes them.
///
/// A cheap clone: all clones are one provider. See the [module docs](super).
#[derive(Clone)]
pub struct Provider {
    shared: Arc<Shared>,
}

struct Shared {
    config: Config,
    state: Mutex<State>,
}

/// What changes while it runs.
#[derive(Default)]
pub(super) struct State {
    pub(super) grants: Grants,
    pub(super) nonces: Nonces,
    pub(super) records: Records,
    pub(super) refusal_style: RefusalStyle,
    pub(super) early_refusal: bool,
    pub(super) lacks_scope: bool,
    faults: Faults,
    pub(super) api_faults: ApiFaults,
    gates: Vec<Weak<Gate>>,
}

impl State {
    /// Opens or closes the listeners of the servers, as the faults want.
    fn set_gates(&mut self) {
        let refuse = self.faults.refuse_connections();
        self.gates.retain(|gate| match gate.upgrade() {
            Some(gate) => {
                gate.set(refuse);
                true
            }
            None => false,
        });
    }
}

impl Provider {
    /// A provider with all the defaults.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A provider with knobs.
    pub fn builder() -> ProviderBuilder {
        ProviderBuilder::new()
    }

    pub(super) fn with(config: Config) -> Self {
        Self {
            shared: Arc::new(Shared {
                config,
                state: Mutex::default(),
            }),
        }
    }

    pub(super) fn config(&self) -> &Config {
        &self.shared.config
    }

    /// Never held across an await.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        let state = self.shared.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    /// The id of the registered client.
    pub fn client_id(&self) -> &str {
        &self.config().client_id
    }

    /// The secret of the registered client.
    pub fn client_secret(&self) -> &ClientSecret {
        &self.config().client_secret
    }

    /// The registered redirect URI.
    pub fn redirect_uri(&self) -> &str {
        &self.config().redirect_uri
    }

    /// Issues tokens out of band, to a new user; they have generation 1.
    pub fn issue(&self, expires_in: Duration) -> TokenSet {
        let config = self.config();
        let now = config.clock.now();
        let tokens = self.state().grants.issue(now, expires_in);
        config.dialect.issued(tokens, now)
    }

    /// An authorization code of a new user, as if one had just agreed. It works once, for five
    /// minutes.
    pub fn authorization_code(&self) -> AuthorizationCode {
        let now = self.config().clock.now();
        self.state().grants.authorization_code(now)
    }

    /// An authorization code of the user whose access token, current or not, this is, as if that
    /// user had agreed once more; `None` if the token was never issued here. The grants that the
    /// user has live on.
    pub fn authorization_code_of(&self, token: &AccessToken) -> Option<AuthorizationCode> {
        let now = self.config().clock.now();
        let mut state = self.state();
        state
            .grants
            .authorization_code_of(token.expose_secret(), now)
    }

    /// Ends all access tokens there are. Those issued later live.
    ///
    /// An account that is refused less than a minute after a rotation takes it that refreshing cannot
    /// help: the refusal goes back, with [`Event::RejectedFresh`](crate::account::Event::RejectedFresh).
    /// A test that ends tokens twice advances its clock by a minute between, or opens the account with
    /// a [`min_rotation_interval`](crate::account::AccountBuilder::min_rotation_interval) of zero.
    pub fn expire_access_tokens(&self) {
        self.state().grants.expire_all();
    }

    /// Ends one access token; `false` if it was never issued here.
    pub fn expire_access_token(&self, token: &AccessToken) -> bool {
        self.state().grants.expire(token.expose_secret())
    }

    /// Ends the grant that this access token, current or not, belongs to: its access tokens and
    /// its refresh token are refused. `false` if it was never issued here.
    pub fn revoke_grant(&self, token: &AccessToken) -> bool {
        self.state().grants.revoke(token.expose_secret())
    }

    /// Makes one request to the token endpoint fail: the next one, or the one after those that
    /// are in the queue already.
    pub fn fault_next(&self, fault: Fault) {
        self.change_faults(|faults| faults.push(fault));
    }

    /// Makes every request to the token endpoint fail that no fault in the queue is for, until
    /// [`clear_faults`](Self::clear_faults).
    pub fn fault_always(&self, fault: Fault) {
        self.change_faults(|faults| faults.set_always(fault));
    }

    /// From now on the token endpoint works. What is given back was in the queue, and has met no
    /// request.
    pub fn clear_faults(&self) -> Vec<Fault> {
        self.change_faults(Faults::clear)
    }

    fn change_faults<T>(&self, change: impl FnOnce(&mut Faults) -> T) -> T {
        let mut state = self.state();
        let result = change(&mut state.faults);
        state.set_gates();
        result
    }

    /// Counts a request to the token endpoint; how it is to fail, if it is.
    pub(super) fn next_fault(&self) -> Option<Fault> {
        self.state().records.token_requests += 1;
        self.change_faults(Faults::take)
    }

    pub(super) fn refuses_connection(&self) -> bool {
        self.change_faults(Faults::take_refused_connection)
    }

    pub(super) fn add_gate(&self, gate: &Arc<Gate>) {
        let mut state = self.state();
        state.gates.push(Arc::downgrade(gate));
        state.set_gates();
    }

    /// How the API says no from now on. [`RefusalStyle::Unauthorized401`] by default.
    pub fn set_refusal_style(&self, style: RefusalStyle) {
        self.state().refusal_style = style;
    }

    /// Whether the API says no before it reads the body of the request. Off by default: the body
    /// is read to its end first. (A body that is signed, as a form's pairs may be, is read in any case.)
    pub fn set_early_refusal(&self, early: bool) {
        self.state().early_refusal = early;
    }

    /// Whether the API says from now on that the scope of each access token falls short
    /// (`insufficient_scope`, RFC 6750 §3.1), in the dialect `Bearer`. Off by default.
    pub fn set_insufficient_scope(&self, short: bool) {
        self.state().lacks_scope = short;
    }

    /// Every refresh token that has reached the token endpoint, in order.
    pub fn presentations(&self) -> Vec<Presentation> {
        self.state().records.presentations.clone()
    }

    /// The presentations that should never have been: of a token presented before, where that is
    /// not [allowed](Presentation::allowed).
    pub fn presented_twice(&self) -> Vec<Presentation> {
        let mut presentations = self.presentations();
        presentations.retain(|presentation| !presentation.allowed);
        presentations
    }

    /// How many requests have reached the token endpoint, of whatever kind.
    pub fn token_requests(&self) -> u64 {
        self.state().records.token_requests
    }

    /// How many requests have reached the API.
    pub fn api_requests(&self) -> u64 {
        self.state().records.api_requests
    }

    /// Every request the API let through, in order.
    pub fn accepted(&self) -> Vec<AcceptedRequest> {
        self.state().records.accepted.clone()
    }

    /// Every request the API refused, in order.
    pub fn refused(&self) -> Vec<RefusedRequest> {
        self.state().records.refused.clone()
    }

    /// Forgets what was recorded and sets the counts to zero. Which tokens were presented before
    /// is not forgotten.
    pub fn clear_records(&self) {
        self.state().records.clear();
    }
}

impl Default for Provider {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("client_id", &self.client_id())
            .finish_non_exhaustive()
    }
}
