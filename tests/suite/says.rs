//! A token endpoint that answers what it is told, whatever it is asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response, Uri};
use tower_mac_auth::token::{BoxFuture, Connection, SendError, Transport, TransportError};

/// These answers, one after another.
#[derive(Clone)]
pub struct Says(Arc<Mutex<VecDeque<(u16, String)>>>);

impl Says {
    pub fn new(answers: &[(u16, &str)]) -> Self {
        let answers = answers.iter();
        let answers = answers.map(|(status, body)| (*status, (*body).to_owned()));
        Self(Arc::new(Mutex::new(answers.collect())))
    }
}

impl Transport for Says {
    fn connect<'a>(
        &'a self,
        _: &'a Uri,
    ) -> BoxFuture<'a, Result<Box<dyn Connection>, TransportError>> {
        let connection: Box<dyn Connection> = Box::new(self.clone());
        Box::pin(async { Ok(connection) })
    }
}

impl Connection for Says {
    fn send(
        self: Box<Self>,
        _: Request<Bytes>,
    ) -> BoxFuture<'static, Result<Response<Bytes>, SendError>> {
        let (status, body) = self.0.lock().unwrap().pop_front().unwrap();
        let answer = Response::builder().status(status).body(body.into());
        Box::pin(async { Ok(answer.unwrap()) })
    }
}
