//! Whether a request is signed, by whom, and with a credential that still holds.

use bytes::Bytes;
use http::request::Parts;

use super::super::{Denial, Signer, authorization_of};
use crate::AccessToken;
use crate::provider::xiaomi::ErrorCode;
use crate::sign::Algorithm;
use crate::sign::encode::{pairs, stands_for};
use crate::testing::Provider;
use crate::verify::{MacAuthorization, Verifier};

impl Provider {
    pub(in crate::testing) async fn check_xiaomi(
        &self,
        head: &Parts,
        form: Bytes,
    ) -> Result<Signer, Denial> {
        let config = self.config();
        let rules = config.signing_rules.clone();
        let verifier = Verifier::with_rules(rules.query_credentials(config.query_credentials));
        let checked = self
            .check_mac(verifier, Algorithm::HmacSha1, head, form)
            .await;
        if config.query_credentials {
            // What is wrong with the query says more than that the MAC is not the one.
            let access_token = match &checked {
                Ok(signer) => Some(signer.access_token.clone()),
                Err(_) => authorization_of(&head.headers)
                    .ok()
                    .and_then(|value| MacAuthorization::try_from(value).ok())
                    .map(|authorization| authorization.access_token().clone()),
            };
            if let Some(access_token) = access_token {
                self.check_query(head.uri.query(), &access_token)?;
            }
        }
        checked
    }

    fn check_query(&self, query: Option<&str>, access_token: &AccessToken) -> Result<(), Denial> {
        let invalid = |reason| Denial::new(ErrorCode::InvalidRequest, reason);
        let (mut client_id, mut token) = (None, None);
        for (name, value) in pairs(query.unwrap_or_default()) {
            let (known, reason) = if stands_for(name, "clientId") {
                (&mut client_id, CLIENT_ID)
            } else if stands_for(name, "token") {
                (&mut token, TOKEN)
            } else {
                continue;
            };
            if known.replace(value).is_some() {
                return Err(invalid(reason));
            }
        }
        let client_id = client_id.ok_or_else(|| invalid(CLIENT_ID))?;
        if !stands_for(client_id, self.client_id()) {
            return Err(Denial::new(ErrorCode::ClientUnknown, "clientId: not known"));
        }
        let token = token.ok_or_else(|| invalid(TOKEN))?;
        if !stands_for(token, access_token.expose_secret()) {
            let reason = "token: not the one in the header";
            return Err(Denial::new(ErrorCode::Denied, reason));
        }
        Ok(())
    }
}

const CLIENT_ID: &str = "clientId: wanted in the query, once";
const TOKEN: &str = "token: wanted in the query, once";
