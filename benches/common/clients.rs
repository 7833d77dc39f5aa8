//! Calls on loopback one after another, by hyper-util's client and by reqwest's, bare and through the
//! layer: for callgrind, which counts this process and not the server's.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, HeaderValue, USER_AGENT};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use reqwest::{Method, redirect};
use tokio::runtime::Builder;
use tower::{Layer, Service, ServiceExt as _};
use tower_mac_auth::account::Account;
use tower_mac_auth::layer::MacAuthLayer;
use tower_mac_auth::testing::Provider;

use super::loopback::{Template, sign};
use super::memory::ANSWER;

/// What a call is made by.
#[derive(Clone, Copy)]
pub(crate) enum By {
    Hyper,
    HyperWithLayer,
    Reqwest,
    ReqwestWithLayer,
}

/// The server, in a process of its own, which ends with this.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start() -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let command = command
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let address = line.trim().parse().unwrap();
        Self { child, address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Makes so many calls.
pub(crate) fn calls(by: By, rounds: usize) {
    let server = Server::start();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let provider = Provider::new();
        let tokens = provider.issue(Duration::from_secs(3600));
        let account = Account::builder(provider.endpoint()).tokens(tokens);
        let account = account.open("bench").await.unwrap();
        let layer = MacAuthLayer::new(account);
        let layer = layer.allow(&server.address.to_string()).unwrap();
        let uri: Uri = format!("http://{}/user/profile", server.address)
            .parse()
            .unwrap();
        let unsigned = Template {
            uri,
            authorization: None,
        };
        let signed = sign(&layer, unsigned.request());
        let hyper = Client::builder(TokioExecutor::new());
        let reqwest = reqwest::Client::builder().redirect(redirect::Policy::none());
        let reqwest = reqwest.build().unwrap();
        match by {
            By::Hyper => by_hyper(hyper.build_http(), &signed, rounds).await,
            By::HyperWithLayer => {
                by_hyper(layer.layer(hyper.build_http()), &unsigned, rounds).await;
            }
            By::Reqwest => by_reqwest(reqwest, &signed, rounds).await,
            By::ReqwestWithLayer => by_reqwest(layer.layer(reqwest), &unsigned, rounds).await,
        }
    });
}

async fn by_hyper<S, B>(mut client: S, template: &Template, rounds: usize)
where
    S: Service<Request<Empty<Bytes>>, Response = http::Response<B>, Error: std::fmt::Debug>,
    B: http_body::Body<Error: std::fmt::Debug>,
{
    for _ in 0..rounds {
        let request = template.request();
        let response = client.ready().await.unwrap().call(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let body = response.into_body().collect().await.unwrap();
        assert_eq!(body.to_bytes().len(), ANSWER.len());
    }
}

async fn by_reqwest<S>(mut client: S, template: &Template, rounds: usize)
where
    S: Service<reqwest::Request, Response = reqwest::Response, Error: std::fmt::Debug>,
{
    let url: reqwest::Url = template.uri.to_string().parse().unwrap();
    for _ in 0..rounds {
        let mut request = reqwest::Request::new(Method::GET, url.clone());
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static("bench/1.0"));
        if let Some(authorization) = &template.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let response = client.ready().await.unwrap().call(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.bytes().await.unwrap().len(), ANSWER.len());
    }
}
