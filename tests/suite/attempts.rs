//! What a service below the layer, and the caller above it, hear of each attempt.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Extensions, Method, Request, StatusCode, header};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};
use tower_mac_auth::layer::{Attempt, MacAuthLayer, RequestBody};
use tower_mac_auth::provider::xiaomi::SigningRules;
use tower_mac_auth::store::Generation;

use crate::world::{HOST, World, get, post};

type Report = (Option<Attempt>, Option<Generation>);

const FIRST: Report = (Some(Attempt::FIRST), Some(Generation::FIRST));
const SILENT: Report = (None, None);

fn report(extensions: &Extensions) -> Report {
    (extensions.get().copied(), extensions.get().copied())
}

/// Sends the request: what the service below was told at each attempt, and the caller in the end.
async fn reports(
    world: &World,
    layer: MacAuthLayer,
    request: Request<Full<Bytes>>,
) -> (Vec<Report>, Report) {
    let below = Arc::new(Mutex::new(Vec::new()));
    let (seen, api) = (Arc::clone(&below), world.provider.api());
    let inner = service_fn(move |request: Request<RequestBody<Full<Bytes>>>| {
        seen.lock().unwrap().push(report(request.extensions()));
        let sent = api.clone().oneshot(request);
        async move { Ok::<_, Infallible>(sent.await.unwrap()) }
    });
    let answer = layer.layer(inner).oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let below = below.lock().unwrap().clone();
    (below, report(answer.extensions()))
}

fn resend() -> Report {
    (Some(Attempt::RESEND), Some(Generation::FIRST.next()))
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_sent_again_says_so() {
    let world = World::new().await;
    let (below, above) = reports(&world, world.layer(), get("/")).await;
    assert_eq!((below, above), (vec![SILENT], SILENT));

    world.provider.expire_access_tokens();
    let (below, above) = reports(&world, world.layer(), post("/", "on")).await;
    assert_eq!((below, above), (vec![SILENT, resend()], resend()));
}

#[tokio::test(start_paused = true)]
async fn every_attempt_says_what_it_is_if_asked() {
    let world = World::new().await;
    let layer = world.layer().report_every_attempt(true);
    let (below, above) = reports(&world, layer.clone(), get("/")).await;
    assert_eq!((below, above), (vec![FIRST], FIRST));

    world.provider.expire_access_tokens();
    let (below, above) = reports(&world, layer, get("/")).await;
    assert_eq!((below, above), (vec![FIRST, resend()], resend()));
}

#[tokio::test(start_paused = true)]
async fn so_does_one_that_waited_before_it_was_sent_first() {
    let rules = SigningRules::new().sign_form(true);
    let world = World::with(|provider| provider.signing_rules(rules), |account| account).await;
    let form = Request::builder()
        .method(Method::POST)
        .uri(format!("https://{HOST}/"))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Full::from("a=1"))
        .unwrap();
    let layer = world.layer().report_every_attempt(true);
    let (below, above) = reports(&world, layer, form).await;
    assert_eq!((below, above), (vec![FIRST], FIRST));
}

mod spans {
    use std::collections::BTreeMap;
    use std::fmt::Debug;

    use tower_mac_auth::layer::AttemptSpanLayer;
    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing_subscriber::layer::{Context, Layer as _, SubscriberExt as _};

    use super::*;

    type Fields = BTreeMap<String, String>;

    /// The spans by the name of attempts, in the order in which they began.
    #[derive(Clone, Default)]
    struct Spans(Arc<Mutex<Vec<(Id, Fields)>>>);

    struct Into<'a>(&'a mut Fields);

    impl Visit for Into<'_> {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            self.0.insert(field.name().to_owned(), format!("{value:?}"));
        }
    }

    impl<S: tracing::Subscriber> tracing_subscriber::layer::Layer<S> for Spans {
        fn on_new_span(&self, span: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
            if span.metadata().name() == "mac_auth.attempt" {
                let mut fields = Fields::new();
                span.record(&mut Into(&mut fields));
                self.0.lock().unwrap().push((id.clone(), fields));
            }
        }

        fn on_record(&self, id: &Id, record: &Record<'_>, _: Context<'_, S>) {
            let mut spans = self.0.lock().unwrap();
            // The latest of this id: they are used again.
            if let Some((_, fields)) = spans.iter_mut().rev().find(|(known, _)| known == id) {
                record.record(&mut Into(fields));
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_attempt_has_a_span_that_counts_and_shows_no_token() {
        let spans = Spans::default();
        let subscriber = tracing_subscriber::registry().with(spans.clone().boxed());
        let guard = tracing::subscriber::set_default(subscriber);
        let world = World::new().await;
        world.provider.expire_access_tokens();
        let inner = AttemptSpanLayer::new().layer(world.provider.api());
        let client = world.layer().report_every_attempt(true).layer(inner);
        let answer = client.oneshot(get("/lamp?room=2")).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        drop(guard);
        let spans = spans.0.lock().unwrap().clone();
        let fields: Vec<_> = spans.into_iter().map(|(_, fields)| fields).collect();
        let expected = |generation: &str, status: &str, count: Option<&str>| {
            let all = [
                ("generation", Some(generation)),
                ("http.request.method", Some("\"GET\"")),
                ("http.request.resend_count", count),
                ("http.response.status_code", Some(status)),
                ("server.address", Some("\"api.example\"")),
                ("url.path", Some("\"/lamp\"")),
            ];
            let there = all
                .iter()
                .filter_map(|(name, value)| Some(((*name).to_owned(), (*value)?.to_owned())));
            there.collect::<Fields>()
        };
        let second = Generation::FIRST.next().to_string();
        assert_eq!(
            fields,
            [
                expected("1", "401", None),
                expected(&second, "200", Some("1")),
            ]
        );
    }
}
