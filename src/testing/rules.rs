use std::time::Duration;

/// What a refresh does besides.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    /// For how long a spent refresh token is answered again.
    pub(super) grace_window: Duration,
    pub(super) rotate_refresh_tokens: bool,
    pub(super) reuse_kills_grant: bool,
    pub(super) rotation_kills_access_token: bool,
}
