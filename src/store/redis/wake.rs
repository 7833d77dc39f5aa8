//! Tells watchers of what other processes, and this one, wrote: one subscription for all accounts.

use std::fmt::Write as _;
use std::time::Duration;

use futures_util::StreamExt as _;
use redis::Value;
use redis::aio::PubSub;
use tokio::time::timeout;

use super::address::Address;
use super::checks::refusal;
use super::error::{may_not, unavailable};
use crate::store::StoreError;
use crate::store::watchers::Watchers;

/// A subscription that is silent so long is asked whether it still stands.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long until a lost subscription is tried again, in milliseconds.
const PAUSE: std::ops::Range<u64> = 250..1_000;

/// Where to listen.
pub(super) struct Station {
    address: Address,
    pattern: String,
    timeout: Duration,
}

impl Station {
    /// All channels that begin with `prefix`.
    pub(super) fn new(address: Address, prefix: &str, timeout: Duration) -> Self {
        let mut pattern = String::with_capacity(prefix.len() + 1);
        for char in prefix.chars() {
            let quote = if "*?[\\".contains(char) { "\\" } else { "" };
            let written = write!(pattern, "{quote}{char}");
            debug_assert!(written.is_ok());
        }
        pattern.push('*');
        Self {
            address,
            pattern,
            timeout,
        }
    }

    pub(super) async fn subscribe(&self) -> Result<PubSub, StoreError> {
        let subscribe = async {
            let mut subscription = self.address.subscription().await?;
            subscription.psubscribe(&self.pattern).await?;
            // The client takes a refusal for success; but who is subscribed is answered otherwise.
            let answer: Value = subscription.ping().await?;
            Ok((subscription, matches!(answer, Value::Array(_))))
        };
        match timeout(self.timeout, subscribe).await {
            Ok(Ok((subscription, true))) => Ok(subscription),
            Ok(Ok((_, false))) => Err(may_not("PSUBSCRIBE")),
            Ok(Err(error)) => Err(refusal("PSUBSCRIBE", &error)),
            Err(_) => Err(unavailable("Redis did not answer in time")),
        }
    }

    /// Wakes watchers for ever.
    pub(super) async fn listen(self, mut subscription: PubSub, watchers: Watchers) {
        loop {
            self.hear(subscription, &watchers).await;
            tracing::warn!("the Redis subscription is lost: watchers poll until it is back");
            subscription = loop {
                tokio::time::sleep(Duration::from_millis(fastrand::u64(PAUSE))).await;
                match self.subscribe().await {
                    Ok(subscription) => break subscription,
                    Err(error) => tracing::debug!(%error, "no Redis subscription"),
                }
            };
            tracing::info!("the Redis subscription is back");
            // Of what happened in between nothing was heard.
            watchers.wake_all();
        }
    }

    /// Wakes watchers until the subscription is lost.
    async fn hear(&self, subscription: PubSub, watchers: &Watchers) {
        let (mut asking, mut messages) = subscription.split();
        loop {
            match timeout(HEARTBEAT, messages.next()).await {
                Ok(Some(message)) => watchers.wake(message.get_channel_name()),
                Ok(None) => return,
                Err(_) => match timeout(self.timeout, asking.ping::<Value>()).await {
                    Ok(Ok(_)) => {}
                    _ => return,
                },
            }
        }
    }
}
