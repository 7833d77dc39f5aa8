//! Whether a request is signed, by whom, and with a credential that still holds.

use bytes::Bytes;
use http::request::Parts;

use super::super::{Denial, Signer, authorization_of};
use super::once;
use crate::AccessToken;
use crate::provider::xiaomi::ErrorCode;
use crate::sign::Algorithm;
use crate::testing::Provider;
use crate::verify::{MacAuthorization, Verifier};

impl Provider {
    pub(in crate::testing) async fn check_xiaomi(
        &self,
        head: &Parts,
        form: Bytes,
    ) -> Result<Signer, Denial> {
        let config = self.config();
        // A header that cannot be read is refused below.
        let authorization = authorization_of(&head.headers).map(MacAuthorization::try_from);
        if config.query_credentials
            && let Ok(Ok(authorization)) = authorization
        {
            self.check_query(head.uri.query(), authorization.access_token())?;
        }
        let verifier = Verifier::with_rules(config.signing_rules.clone());
        self.check_mac(verifier, Algorithm::HmacSha1, head, form)
            .await
    }

    fn check_query(&self, query: Option<&str>, access_token: &AccessToken) -> Result<(), Denial> {
        let query = query.unwrap_or_default();
        let wanted = |name, reason| {
            once(query, name).map_err(|()| Denial::new(ErrorCode::InvalidRequest, reason))
        };
        if wanted("clientId", "clientId: wanted in the query, once")? != self.client_id() {
            return Err(Denial::new(ErrorCode::ClientUnknown, "clientId: not known"));
        }
        let token = wanted("token", "token: wanted in the query, once")?;
        if AccessToken::new(token) != *access_token {
            let reason = "token: not the one in the header";
            return Err(Denial::new(ErrorCode::Denied, reason));
        }
        Ok(())
    }
}
