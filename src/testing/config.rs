use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::Dialect;
use super::dialect::OAuth2Rules;
use super::rules::Rules;
use crate::provider::xiaomi::SigningRules;
use crate::{ClientSecret, Clock};

/// What does not change while a provider runs.
#[expect(clippy::struct_excessive_bools, reason = "knobs, each on or off")]
pub(super) struct Config {
    pub(super) dialect: Dialect,
    pub(super) oauth2: OAuth2Rules,
    pub(super) client_id: String,
    pub(super) client_secret: ClientSecret,
    pub(super) redirect_uri: String,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) lifetime: Duration,
    pub(super) rules: Rules,
    pub(super) plain_answers: bool,
    pub(super) string_codes: bool,
    pub(super) token_refusal_status: Option<StatusCode>,
    pub(super) prefixed_refusals: bool,
    pub(super) clock_window: Duration,
    pub(super) query_credentials: bool,
    pub(super) signing_rules: SigningRules,
    pub(super) echo_bodies: bool,
    pub(super) accept_any_body: bool,
}
