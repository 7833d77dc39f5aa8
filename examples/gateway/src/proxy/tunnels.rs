//! Connections that changed to another protocol: a WebSocket, say. Its handshake was signed; what
//! follows are bytes.

use http::Response;
use hyper::upgrade::{OnUpgrade, on};
use hyper_util::rt::TokioIo;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Those that are open.
#[derive(Clone, Debug)]
pub(crate) struct Tunnels {
    tasks: TaskTracker,
    /// Ends those that are left.
    cut: CancellationToken,
}

impl Tunnels {
    pub(crate) fn new(cut: CancellationToken) -> Self {
        let tasks = TaskTracker::new();
        Self { tasks, cut }
    }

    /// Carries bytes both ways, from the moment that both connections have changed.
    pub(super) fn join<B>(&self, caller: OnUpgrade, response: &mut Response<B>) {
        let api = on(response);
        let cut = self.cut.clone();
        self.tasks.spawn(async move {
            let carry = async {
                let (caller, api) = match tokio::try_join!(caller, api) {
                    Ok(both) => both,
                    Err(error) => return tracing::debug!(%error, "no tunnel"),
                };
                let (mut caller, mut api) = (TokioIo::new(caller), TokioIo::new(api));
                // Either side may just go away.
                let _ = tokio::io::copy_bidirectional(&mut caller, &mut api).await;
            };
            cut.run_until_cancelled(carry).await;
        });
    }

    /// Waits until all have ended.
    pub(crate) async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}
