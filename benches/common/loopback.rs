//! A server on loopback, and what is sent to it.

use std::convert::Infallible;
use std::future::ready;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Request, Response, Uri};
use http_body_util::{Empty, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn as serve_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tower::{Layer, service_fn};
use tower_mac_auth::layer::MacAuthLayer;

use super::memory::{ANSWER, get, send};

/// What is sent again and again.
#[derive(Clone)]
pub(crate) struct Template {
    pub(crate) uri: Uri,
    pub(crate) authorization: Option<HeaderValue>,
}

impl Template {
    pub(crate) fn request(&self) -> Request<Empty<Bytes>> {
        let mut request = get(&self.uri);
        if let Some(authorization) = &self.authorization {
            let headers = request.headers_mut();
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        request
    }
}

/// What the layer sends for `request`.
pub(crate) fn sign(layer: &MacAuthLayer, request: Request<Empty<Bytes>>) -> Template {
    let sent = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&sent);
    let mut service = layer.layer(service_fn(move |request: Request<_>| {
        *keep.lock().unwrap() = Some(Template {
            uri: request.uri().clone(),
            authorization: request.headers().get(AUTHORIZATION).cloned(),
        });
        ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
    }));
    drop(send(&mut service, request));
    let template = sent.lock().unwrap().take();
    template.unwrap()
}

/// Starts a server in a thread of its own, which ends with the process.
pub(crate) fn serve() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), serve_fn(answer));
                tokio::spawn(async { drop(connection.await) });
            }
        })
    });
    address
}

async fn answer(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::new(Bytes::from_static(ANSWER.as_bytes())));
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/json;charset=UTF-8"),
    );
    Ok(response)
}
