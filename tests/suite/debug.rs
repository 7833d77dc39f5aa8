//! No `Debug` of a public type, and no error, shows a secret or a URL that may hold one: each type is
//! made with one in every place it has for one.

use std::convert::Infallible;
use std::error::Error;
use std::fmt::{Debug, Display};
use std::pin::pin;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_mac_auth::account::{Account, Accounts};
use tower_mac_auth::layer::{MacAuthLayer, RedactedUri, RequestBody};
use tower_mac_auth::provider::xiaomi::{Credential, SigningRules};
use tower_mac_auth::provider::{
    AccessGrant, AllowedAuthorities, Ambiguous, AmbiguousKind, AuthorizeRequest, Bearer,
    Challenges, Fields, Fresh, Grant, Meaning, OAuth2, Outcome, Presented, Provider as _, Refused,
    RequestParts, Signed, TokenSet, Xiaomi,
};
use tower_mac_auth::sign::{Algorithm, MacKey};
use tower_mac_auth::store::{
    AccountName, Generation, Issued, Keyring, MemoryStore, PostgresStore, RecordStore, RedisStore,
    SealedStore, SealingKey, SharedStore,
};
use tower_mac_auth::testing::Provider;
use tower_mac_auth::token::{
    Connection, HyperTransport, SendError, TokenEndpoint, Transport, TransportError,
};
use tower_mac_auth::verify::{CallbackVerifier, MacAuthorization, ReplayGuard, Verifier};
use tower_mac_auth::{
    AccessToken, AuthorizationCode, ClientSecret, Extra, MacKeyText, RefreshToken, Timestamp,
};

use crate::world::{HOST, HOUR, World, get, post};

const CANARY: &str = "CANARY";
const URL: &str = "https://user:CANARY@api.example/a?token=CANARY&code=CANARY";

fn is_silent(what: &str, shown: &str) {
    assert!(!shown.to_uppercase().contains(CANARY), "{what}: {shown}");
}

fn debug<T: Debug>(value: &T) {
    let what = std::any::type_name::<T>();
    is_silent(what, &format!("{value:?} {value:#?}"));
}

/// Of an error, what it says besides.
fn error<T: Error + 'static>(value: &T) {
    debug(value);
    let mut next: Option<&(dyn Error + 'static)> = Some(value);
    while let Some(cause) = next {
        is_silent(std::any::type_name::<T>(), &format!("{cause} {cause:?}"));
        next = cause.source();
    }
}

fn shows<T: Display + Debug>(value: &T, part: &str) {
    assert!(format!("{value} {value:?}").contains(part), "{value}");
}

/// An error that quotes the URL, as those of some clients do.
#[derive(Debug)]
struct Quoting;

impl Display for Quoting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no answer from {URL}")
    }
}

impl Error for Quoting {}

fn tokens() -> TokenSet {
    let mut tokens = TokenSet::mac(CANARY, CANARY, CANARY, HOUR);
    tokens.subject = Some("me".to_owned());
    tokens.extras.insert("id_token".to_owned(), CANARY.into());
    tokens
}

#[test]
fn a_secret_is_never_shown() {
    debug(&AccessToken::new(CANARY));
    debug(&RefreshToken::new(CANARY));
    debug(&MacKeyText::new(CANARY));
    debug(&ClientSecret::new(CANARY));
    debug(&AuthorizationCode::new(CANARY).with_verifier(CANARY));
    debug(&Extra::new(CANARY));
    debug(&tokens());
    debug(&Grant::from(tokens()));
    debug(&AccessGrant::new(CANARY).with_mac_key(CANARY, Algorithm::HmacSha1));
    let issued = Issued::authorized(Generation::FIRST, Grant::from(tokens()), Some(HOUR));
    debug(&issued);
    debug(&SealingKey::from_bytes(b"CANARYCANARYCANARYCANARYCANARY!!"));
}

#[test]
fn nothing_that_signs_or_is_signed_shows_a_token() {
    let key = MacKey::new(Algorithm::HmacSha1, &MacKeyText::new(CANARY)).unwrap();
    debug(&key);
    let credential = Credential::new(&AccessToken::new(CANARY), key).with_client_id("1");
    debug(&credential);
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_static(CANARY));
    let parts = RequestParts::new("GET", "api.example", "/a")
        .with_query("token=CANARY")
        .with_headers(&headers)
        .with_body(CANARY.as_bytes());
    debug(&parts);
    let nonce = "1:2".parse().unwrap();
    debug(
        &SigningRules::new()
            .sign(&credential, &parts, &nonce)
            .unwrap(),
    );
    let signed = Signed::new()
        .with_authorization(HeaderValue::from_static(CANARY))
        .with_path_and_query(PathAndQuery::from_static("/a?token=CANARY"));
    debug(&signed);
    for (name, value) in signed.headers() {
        debug(&(name, value));
    }
    let bearer = Bearer::new(OAuth2::new("https://as.example/token", "id"));
    debug(&bearer.credential(&Grant::from(tokens())).unwrap());

    let value = format!("MAC access_token=\"{CANARY}\", nonce=\"1:2\", mac=\"a2V5\"");
    debug(&MacAuthorization::parse(&value).unwrap());
    error(&MacAuthorization::parse(&format!("MAC {CANARY}")).unwrap_err());
    debug(&CallbackVerifier::new(&ClientSecret::new(CANARY)).unwrap());
    debug(&(Verifier::new(), ReplayGuard::new(HOUR, 8)));
}

#[test]
fn nothing_of_a_token_endpoint_shows_its_url_or_what_is_presented() {
    let secret = "CANARY/secret";
    let xiaomi = || {
        Xiaomi::new("id", secret, "https://me.example/cb")
            .with_token_url(URL)
            .with_authorize_url(URL)
    };
    debug(&xiaomi());
    let oauth2 = OAuth2::new(URL, "id")
        .with_client_secret(secret)
        .with_authorize_url(URL)
        .with_refresh_url(URL);
    debug(&(oauth2.clone(), Bearer::new(oauth2)));
    let builder = TokenEndpoint::builder(xiaomi());
    debug(&builder);
    error(&builder.build().unwrap_err());
    debug(&TokenEndpoint::from(xiaomi()));
    let asking = TokenEndpoint::from(Xiaomi::new("id", secret, "https://me.example/cb"));
    debug(&asking.authorize_url(CANARY).unwrap());
    let mut request = AuthorizeRequest::new(CANARY);
    request.code_challenge = Some(CANARY);
    debug(&request);

    let (token, code) = (RefreshToken::new(CANARY), AuthorizationCode::new(CANARY));
    debug(&(Presented::from(&token), Presented::from(&code)));
    debug(&Fresh::at(Timestamp::EPOCH));
    debug(&Fields::read(br#"{"access_token":"CANARY","CANARY":1}"#));
    debug(&Outcome::Tokens(tokens()));
    let doubt = Ambiguous::new(AmbiguousKind::Field, "expires_in: zero");
    debug(&Outcome::Ambiguous(
        doubt.with_next(Some(RefreshToken::new(CANARY))),
    ));
    // Punctuation that no code has.
    error(&Refused::new("?code=CANARY", Meaning::Unknown));
    for kind in [SendError::not_sent(Quoting), SendError::lost(Quoting)] {
        debug(&kind);
        assert!(kind.source().is_some());
    }
    let mut headers = HeaderMap::new();
    let challenge = HeaderValue::from_static("Bearer realm=\"CANARY\", error=\"CANARY\"");
    headers.insert(WWW_AUTHENTICATE, challenge);
    debug(&Challenges::of(&headers));
    debug(&Challenges::of(&headers).next().unwrap());
}

#[tokio::test]
async fn neither_does_an_outcome_whose_transport_quotes_it() {
    struct Loud;
    impl Transport for Loud {
        fn connect<'a>(
            &'a self,
            _: &'a Uri,
        ) -> tower_mac_auth::token::BoxFuture<'a, Result<Box<dyn Connection>, TransportError>>
        {
            Box::pin(async { Ok(Box::new(Loud) as Box<dyn Connection>) })
        }
    }
    impl Connection for Loud {
        fn send(
            self: Box<Self>,
            request: Request<Bytes>,
        ) -> tower_mac_auth::token::BoxFuture<'static, Result<Response<Bytes>, SendError>> {
            Box::pin(async move { Err(SendError::lost(format!("no answer: {request:?}"))) })
        }
    }
    let xiaomi = Xiaomi::new("id", "CANARY/secret", "https://me.example/cb");
    let endpoint = TokenEndpoint::builder(xiaomi)
        .transport(Loud)
        .build()
        .unwrap();
    let connected = endpoint.connect().await.unwrap();
    debug(&connected);
    let outcome = connected.refresh(&RefreshToken::new("R+CANARY/1")).await;
    debug(&outcome);
    let Outcome::Ambiguous(ambiguous) = outcome else {
        panic!("the answer is lost");
    };
    error(&ambiguous);
    debug(&HyperTransport::new());
}

#[test]
fn an_entry_that_is_no_authority_is_shown_only_if_it_can_be() {
    for entry in [
        URL,
        "user:CANARY@api.example",
        "api.example/?token=CANARY",
        "a#CANARY",
    ] {
        error(&AllowedAuthorities::new([entry]).unwrap_err());
    }
    shows(
        &AllowedAuthorities::new(["https://a"]).unwrap_err(),
        "https://a",
    );
    debug(&AllowedAuthorities::new([HOST]).unwrap());
    shows(
        &RedactedUri::new(&"https://a/b?c=CANARY".parse().unwrap()),
        "c=",
    );
    debug(&RedactedUri::new(&URL.parse().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn no_request_on_its_way_shows_its_query_or_its_body() {
    let world = World::with(
        |provider| provider.signing_rules(SigningRules::new()),
        |account| account,
    )
    .await;
    let layer = world.layer();
    debug(&layer);
    let inner = service_fn(|request: Request<RequestBody<Full<Bytes>>>| async move {
        debug(request.body());
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(CANARY)))
    });
    let mut client = layer.layer(inner);
    let mut call = pin!(
        client
            .ready()
            .await
            .unwrap()
            .call(post("/a?b=CANARY", CANARY))
    );
    let response = call.as_mut().await.unwrap();
    debug(response.body());
    debug(&response.into_body().collect().await.map(drop));

    for path in ["/a?token=CANARY%", "/a?%zzCANARY=1", "*"] {
        let uri = if path == "*" {
            path.to_owned()
        } else {
            format!("https://{HOST}{path}")
        };
        let request = Request::get(uri).body(Full::<Bytes>::default()).unwrap();
        error(&world.client().oneshot(request).await.unwrap_err());
    }
    for uri in [
        URL,
        "https://other.example/?token=CANARY",
        "http://api.example/?token=CANARY",
    ] {
        let mut request = Request::get(uri).body(()).unwrap();
        let signing = world.account.sign(&mut request).body(CANARY.as_bytes());
        debug(&signing);
        error(&signing.await.unwrap_err());
    }
    world
        .client()
        .oneshot(get("/a?token=CANARY&b=CANARY"))
        .await
        .unwrap();
    debug(&world.provider.accepted());
    let mut request = get("/a?b=CANARY");
    request
        .headers_mut()
        .insert(AUTHORIZATION, HeaderValue::from_static(CANARY));
    let refused = world.provider.api().oneshot(request).await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    debug(&world.provider.refused());
    debug(&(world.provider.clone(), world.provider.api()));
    debug(&MacAuthLayer::per_request(&world.provider.xiaomi()));
}

#[tokio::test(start_paused = true)]
async fn nothing_that_keeps_or_uses_tokens_shows_them() {
    let provider = Provider::builder().client("id", "CANARY/secret").build();
    debug(&provider);
    let store = MemoryStore::new();
    let builder = Account::builder(provider.endpoint()).store(store.clone());
    let builder = builder.tokens(tokens());
    debug(&builder);
    let account = builder.open("user").await.unwrap();
    debug(&(account.extras(), account.status(), account.events()));
    let refused = account.refresh_if_current(account.generation());
    debug(&refused);
    error(&refused.await.unwrap_err());
    debug(&account);
    let mut others = tokens();
    others.subject = Some("another".to_owned());
    error(&account.install(others).await.unwrap_err());
    let accounts = Accounts::builder(provider.endpoint()).store(store.clone());
    debug(&accounts);
    debug(&accounts.build());

    let name = AccountName::new("user").unwrap();
    let loaded = store.load(&name).await.unwrap();
    debug(&loaded);
    debug(&loaded.into_record());
    debug(&store.list(None, 10).await.unwrap());
    let keyring = || {
        Keyring::new(
            "k1",
            SealingKey::from_bytes(b"CANARYCANARYCANARYCANARYCANARY!!"),
        )
        .unwrap()
    };
    debug(&keyring());
    debug(&SealedStore::new(store.clone(), keyring()));
    debug(&(SharedStore::new(store.clone()), store));
}

#[tokio::test(start_paused = true)]
async fn no_store_shows_the_password_of_its_server() {
    let at = |scheme: &str| format!("{scheme}://me:CANARY@127.0.0.1:1/db?password=CANARY");
    debug(&PostgresStore::builder(&at("postgres")).listen_url(at("postgres")));
    debug(&RedisStore::builder(&at("redis")));
    for url in [
        "postgres://me:CANARY@[",
        "CANARY",
        "postgres://me:CANARY@h:port/",
    ] {
        if let Err(fault) = PostgresStore::connect(url).await {
            error(&fault);
        }
    }
    for url in ["redis://me:CANARY@[", "CANARY", "redis://me:CANARY@h:port/"] {
        if let Err(fault) = RedisStore::connect(url).await {
            error(&fault);
        }
    }
}
