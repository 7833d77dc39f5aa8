//! What all accounts of a client share in this process, so that each of many is small.

use std::sync::Arc;

use super::AccountEvent;
use super::event::Channel;
use super::policy::Policy;
use super::rescue::Rescue;
use super::work::Home;
use crate::Clock;
use crate::store::RotationStore;
use crate::token::TokenEndpoint;

pub(super) struct Realm {
    pub(super) endpoint: TokenEndpoint,
    /// The endpoint's, for every grant to say whose it is.
    pub(super) client_id: Arc<str>,
    pub(super) store: Arc<dyn RotationStore>,
    pub(super) rescue: Rescue,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) policy: Policy,
    pub(super) owner: String,
    /// The events of all of them.
    pub(super) events: Channel<AccountEvent>,
    /// The runtime that opened the first: a flight outlives the runtime of any one caller.
    pub(super) home: Home,
}
