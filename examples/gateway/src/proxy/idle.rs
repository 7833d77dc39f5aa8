use std::time::Duration;

/// Of a limit: how exactly it is kept to.
const PARTS: u32 = 8;

/// Ends once for so long nothing has moved; `moves` says whether something has since it was asked last.
pub(super) async fn idle(limit: Duration, mut moves: impl FnMut() -> bool) {
    let mut parts = 0;
    while parts < PARTS {
        tokio::time::sleep(limit / PARTS).await;
        parts = if moves() { 0 } else { parts + 1 };
    }
}
