use bytes::Bytes;
use http::Request;
use http::header::{ACCEPT, HeaderValue};

use super::Xiaomi;
use crate::provider::Presented;
use crate::provider::parameters::Parameters;
use crate::sign::SignError;

/// The `GET` that presents a refresh token or a code.
pub(super) fn token_request(
    client: &Xiaomi,
    presented: Presented<'_>,
) -> Result<Request<Bytes>, SignError> {
    let mut parameters = Parameters::default();
    parameters.push("client_id", &client.client_id);
    parameters.push_some("redirect_uri", client.redirect_uri.as_deref());
    parameters.push("client_secret", client.client_secret.expose_secret());
    parameters.push("grant_type", presented.grant_type().as_str());
    let name = match presented {
        Presented::RefreshToken { .. } => "refresh_token",
        Presented::AuthorizationCode(_) => "code",
    };
    parameters.push(name, presented.expose_secret());
    parameters.push_some("token_type", client.send_token_type.then_some("mac"));
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() = parameters.target(&client.token_url)?;
    let json = HeaderValue::from_static("application/json");
    request.headers_mut().insert(ACCEPT, json);
    Ok(request)
}

/// Where a user's browser is sent.
pub(super) fn authorize_url(client: &Xiaomi, state: &str) -> String {
    let mut parameters = Parameters::default();
    parameters.push("client_id", &client.client_id);
    parameters.push_some("redirect_uri", client.redirect_uri.as_deref());
    parameters.push("response_type", "code");
    parameters.push_some("scope", client.scope.as_deref());
    parameters.push("state", state);
    parameters.url(&client.authorize_url)
}
