//! Whether a request is signed, by whom, and with a credential that still holds.

use http::request::Parts;

use super::super::mac::{denied, host};
use super::super::{Denial, Signer, authorization_of};
use super::once;
use crate::AccessToken;
use crate::provider::RequestParts;
use crate::provider::xiaomi::ErrorCode;
use crate::sign::Algorithm;
use crate::testing::Provider;
use crate::verify::{MacAuthorization, Verifier};

impl Provider {
    pub(in crate::testing) fn check_xiaomi(
        &self,
        head: &Parts,
        form: Option<&[u8]>,
    ) -> Result<Signer, Denial> {
        let config = self.config();
        let value = authorization_of(&head.headers).map_err(denied)?;
        let authorization = MacAuthorization::try_from(value)?;
        if config.query_credentials {
            self.check_query(head.uri.query(), authorization.access_token())?;
        }
        let request = RequestParts::new(head.method.as_str(), host(head)?, head.uri.path())
            .with_query(head.uri.query())
            .with_body(form);
        let verifier = Verifier::with_rules(config.signing_rules.clone());
        self.check_mac(&verifier, Algorithm::HmacSha1, &request, authorization)
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
            return Err(denied("token: not the one in the header"));
        }
        Ok(())
    }
}
