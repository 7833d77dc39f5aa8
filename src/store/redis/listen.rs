//! Tells watchers of what other processes, and this one, wrote: one subscription for all accounts.

use std::time::Duration;

use futures_util::StreamExt as _;
use redis::Value;
use redis::aio::PubSub;
use tokio::time::timeout;

use super::address::Address;
use super::error::{late, may_not, refusal};
use crate::store::changes::{Changes, named};
use crate::store::{Change, StoreError};

/// A subscription that is silent so long is asked whether it still stands.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long until a lost subscription is tried again, in milliseconds.
const PAUSE: std::ops::Range<u64> = 250..1_000;

pub(super) struct Listener {
    pub(super) address: Address,
    pub(super) channel: String,
    pub(super) timeout: Duration,
}

impl Listener {
    pub(super) async fn subscribe(&self) -> Result<PubSub, StoreError> {
        let subscribe = async {
            let mut subscription = self.address.subscription().await?;
            subscription.subscribe(&self.channel).await?;
            // The client takes a refusal for success; but who is subscribed is answered otherwise.
            let answer: Value = subscription.ping().await?;
            Ok((subscription, matches!(answer, Value::Array(_))))
        };
        match timeout(self.timeout, subscribe).await {
            Ok(Ok((subscription, true))) => Ok(subscription),
            Ok(Ok((_, false))) => Err(may_not("SUBSCRIBE")),
            Ok(Err(error)) => Err(refusal("SUBSCRIBE", &error)),
            Err(_) => Err(late()),
        }
    }

    /// Tells of changes for ever.
    pub(super) async fn listen(self, mut subscription: PubSub, changes: Changes) {
        loop {
            self.hear(subscription, &changes).await;
            tracing::warn!("the Redis subscription is lost: watchers poll until it is back");
            changes.tell(|| Change::Any);
            subscription = loop {
                tokio::time::sleep(Duration::from_millis(fastrand::u64(PAUSE))).await;
                match self.subscribe().await {
                    Ok(subscription) => break subscription,
                    Err(error) => tracing::debug!(%error, "no Redis subscription"),
                }
            };
            tracing::info!("the Redis subscription is back");
            // Of what happened in between nothing was heard.
            changes.tell(|| Change::Any);
        }
    }

    /// Tells of changes until the subscription is lost.
    async fn hear(&self, subscription: PubSub, changes: &Changes) {
        let (mut asking, mut messages) = subscription.split();
        loop {
            match timeout(HEARTBEAT, messages.next()).await {
                Ok(Some(message)) => {
                    let told = std::str::from_utf8(message.get_payload_bytes());
                    changes.tell(|| told.ok().and_then(named).unwrap_or(Change::Any));
                }
                Ok(None) => return,
                Err(_) => match timeout(self.timeout, asking.ping::<Value>()).await {
                    Ok(Ok(_)) => {}
                    _ => return,
                },
            }
        }
    }
}
