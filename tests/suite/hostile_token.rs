//! A token endpoint that means harm, byte by byte over a socket.

use std::time::Duration;

use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tower_mac_auth::RefreshToken;
use tower_mac_auth::provider::Xiaomi;
use tower_mac_auth::token::{AmbiguousKind, HyperTransport, Outcome, TokenEndpoint, UnsentKind};

const TOKENS: &str = r#"{"access_token":"A","expires_in":60,"refresh_token":"R2","mac_key":"K"}"#;
const ANSWER_TIMEOUT: Duration = Duration::from_millis(400);

fn endpoint(port: u16) -> TokenEndpoint {
    let transport = HyperTransport::new()
        .unwrap()
        .connect_timeout(Duration::from_millis(300))
        .answer_timeout(ANSWER_TIMEOUT);
    let xiaomi = Xiaomi::new("id", "s3cret-of-the-client", "https://client.example/")
        .with_token_url(format!("http://127.0.0.1:{port}/token"));
    TokenEndpoint::builder(xiaomi)
        .transport(transport)
        .build()
        .unwrap()
}

/// Presents a token to a server that reads the request and then does as it likes.
async fn ask<F>(serve: impl FnOnce(TcpStream) -> F) -> Outcome
where
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = endpoint(listener.local_addr().unwrap().port());
    let connected = endpoint.connect().await.unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    let token = RefreshToken::new("rt-very-secret");
    let asked = tokio::spawn(async move { connected.refresh(&token).await });
    let mut request = [0; 4096];
    let read = stream.read(&mut request).await.unwrap();
    assert!(request[..read].starts_with(b"GET /token?"));
    let server = tokio::spawn(serve(stream));
    let outcome = asked.await.unwrap();
    server.abort();
    let shown = format!("{outcome:?}");
    assert!(
        !shown.contains("very-secret") && !shown.contains("s3cret"),
        "{shown}"
    );
    outcome
}

async fn answer(answer: impl Into<Vec<u8>>) -> Outcome {
    let answer = answer.into();
    ask(async move |mut stream: TcpStream| stream.write_all(&answer).await).await
}

fn ambiguous(outcome: &Outcome) -> AmbiguousKind {
    match outcome {
        Outcome::Ambiguous(ambiguous) => ambiguous.kind(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_answer_that_trickles_is_given_up_as_a_whole() {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
        TOKENS.len()
    );
    let informational = "HTTP/1.1 100 Continue\r\n\r\n".repeat(1000);
    for trickle in [
        // A head, a body, a chunk, hints of an answer: each keeps the line alive.
        "HTTP/1.1 200 OK\r\nx-slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
            .to_owned(),
        format!("{head}{TOKENS}"),
        format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{TOKENS}",
            80
        ),
        informational,
    ] {
        let asked = ask(async move |mut stream: TcpStream| {
            for byte in trickle.bytes() {
                stream.write_all(&[byte]).await?;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            std::future::pending().await
        });
        let outcome = tokio::time::timeout(5 * ANSWER_TIMEOUT, asked).await;
        assert_eq!(ambiguous(&outcome.unwrap()), AmbiguousKind::Timeout);
    }
}

#[tokio::test]
async fn what_is_no_whole_answer_of_http_is_lost_and_nothing_is_made_up() {
    let len = TOKENS.len();
    for bytes in [
        // HTTP/0.9, HTTP of tomorrow, no HTTP.
        TOKENS.to_owned(),
        format!("HTTP/3.0 200 OK\r\n\r\n{TOKENS}"),
        format!("\x16\x03\x01{TOKENS}\r\n\r\n"),
        format!("HTTP/1.1 99 OK\r\n\r\n{TOKENS}"),
        // Lengths that lie.
        format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{TOKENS}",
            len + 1
        ),
        format!("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n{TOKENS}"),
        format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{TOKENS}"),
        format!("HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n{TOKENS}"),
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{len:x}\r\n{TOKENS}"),
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{TOKENS}\r\n0\r\n\r\n"),
        format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n{TOKENS}"
        ),
        // Bombs.
        format!(
            "HTTP/1.1 200 OK\r\n{}\r\n{TOKENS}",
            "a: b\r\n".repeat(10_000)
        ),
        format!(
            "HTTP/1.1 200 OK\r\nx: {}\r\n\r\n{TOKENS}",
            "a".repeat(2_000_000)
        ),
        // A switch to another protocol, and nothing but hints of an answer.
        format!("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n{TOKENS}"),
        "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(10),
        String::new(),
    ] {
        let shown = format!("{bytes:.60}");
        let kind = ambiguous(&answer(bytes).await);
        assert!(
            matches!(
                kind,
                AmbiguousKind::Lost
                    | AmbiguousKind::Timeout
                    | AmbiguousKind::Status(StatusCode::SWITCHING_PROTOCOLS)
            ),
            "{shown}: {kind:?}"
        );
    }
    // A body that is shorter than the JSON in it.
    let cut = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{TOKENS}",
        len - 1
    );
    assert_eq!(ambiguous(&answer(cut).await), AmbiguousKind::Unreadable);
}

#[tokio::test]
async fn trailers_hints_and_a_second_answer_change_nothing() {
    let len = TOKENS.len();
    for bytes in [
        format!(
            "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: {len}\r\n\r\n{TOKENS}"
        ),
        format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{len:x}\r\n{TOKENS}\r\n0\r\nerror: 96009\r\n\r\n"
        ),
        format!("HTTP/1.1 200 OK\r\ncontent-length: {len}\r\n\r\n{TOKENS}HTTP/1.1 500 No\r\n\r\n"),
        format!("HTTP/1.0 200 OK\r\n\r\n{TOKENS}"),
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{TOKENS}"),
    ] {
        let shown = format!("{bytes:.60}");
        let outcome = answer(bytes).await;
        assert!(
            matches!(outcome, Outcome::Tokens(_)),
            "{shown}: {outcome:?}"
        );
    }
}

#[tokio::test]
async fn an_answer_to_no_request_is_not_taken_for_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = endpoint(listener.local_addr().unwrap().port());
    for close in [false, true] {
        let connected = endpoint.connect().await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        let answer = format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{TOKENS}");
        stream.write_all(answer.as_bytes()).await.unwrap();
        if close {
            stream.shutdown().await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        let outcome = connected.refresh(&RefreshToken::new("R")).await;
        let Outcome::Unsent(unsent) = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(unsent.kind(), UnsentKind::ConnectionClosed);
        let mut seen = Vec::new();
        // A reset is as good: what was never read on our side makes one.
        let _ = stream.read_to_end(&mut seen).await;
        assert!(seen.is_empty(), "said to be unsent, yet it came");
    }
}

#[tokio::test]
async fn a_server_that_accepts_nobody_is_given_up_in_time() {
    // A backlog that is full: the connection is neither made nor refused.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let addr = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_millis(100), TcpStream::connect(addr)).await
    {
        waiting.push(stream);
    }
    let endpoint = endpoint(addr.port());
    let connect = tokio::time::timeout(Duration::from_secs(5), endpoint.connect());
    let unsent = connect.await.unwrap().unwrap_err();
    assert_eq!(unsent.kind(), UnsentKind::ConnectTimeout);
}
