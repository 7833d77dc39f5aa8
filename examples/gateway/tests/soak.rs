//! What takes long, and is not part of every run: memory that stays as it is.
//!
//! ```sh
//! cargo test --release --manifest-path examples/gateway/Cargo.toml --test soak -- --ignored --nocapture
//! ```
//!
//! `GATEWAY_SOAK_SECONDS` says how long; 600 if it does not.
#![allow(clippy::unwrap_used, missing_docs, clippy::print_stdout)]

mod real_gateway;

use std::io::{Read as _, Write as _};
use std::thread;
use std::time::Duration;

use real_gateway::{Gateway, World, api, call, connect, head, is};

/// Resident memory of the gateway, in KiB.
fn memory(gateway: &Gateway) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.unwrap().trim().strip_suffix(" kB").unwrap();
    number.trim().parse().unwrap()
}

#[test]
#[ignore = "takes ten minutes"]
fn soak_memory_stays_flat_while_a_credential_is_rotated_every_second() {
    const ACCOUNTS: u64 = 90;
    let seconds = std::env::var("GATEWAY_SOAK_SECONDS").map_or(600, |text| text.parse().unwrap());
    let world = World::with_accounts(ACCOUNTS);
    let gateway = world.start(&world.server.url(""), "account-header = \"x-account\"");
    let get = |name: u64| {
        let request = format!(
            "GET /user/profile HTTP/1.1\r\nHost: localhost\r\nx-account: user-{name}\r\nConnection: close\r\n\r\n"
        );
        is(&call(gateway.listen, &request), 200, "\"ok\"");
    };
    (0..ACCOUNTS).for_each(get);
    let mut samples = Vec::new();
    for second in 0..seconds {
        // Each is rotated once in a minute and a half: more often is too early.
        let name = second % ACCOUNTS;
        let refresh = format!(
            "POST /accounts/user-{name}/refresh HTTP/1.1\r\nHost: {}\r\nx-requested-with: soak\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            gateway.admin
        );
        let answer = call(gateway.admin, &refresh);
        // Those of the first round were rotated by their first request.
        assert!(
            second < ACCOUNTS || answer.starts_with("HTTP/1.1 200"),
            "{answer}"
        );
        for name in 0..20 {
            get((second + name) % ACCOUNTS);
        }
        if second % 10 == 9 {
            samples.push(memory(&gateway));
            world.provider.clear_records();
        }
        thread::sleep(Duration::from_millis(900));
    }
    println!("{samples:?}");
    // What is there only once is there after a sixth of the time.
    let settled = &samples[samples.len() / 6..];
    let (least, most) = (settled.iter().min().unwrap(), settled.iter().max().unwrap());
    assert!(most * 100 <= least * 110, "{least} to {most} KiB");
    assert_eq!(gateway.end().0, Some(0));
}

#[test]
#[ignore = "moves two GiB"]
fn soak_a_gib_goes_up_and_down_in_constant_memory() {
    const CHUNK: usize = 1 << 20;
    const CHUNKS: usize = 1024;
    let world = World::new();
    let upstream = api(|mut socket| {
        let asked = head(&mut socket);
        let mut left = if asked.starts_with("PUT") {
            CHUNK * CHUNKS
        } else {
            0
        };
        let mut buffer = vec![0; CHUNK];
        while left > 0 {
            let read = socket.read(&mut buffer).unwrap();
            assert!(read > 0, "{left} are missing");
            left -= read;
        }
        let length = if asked.starts_with("PUT") {
            0
        } else {
            CHUNK * CHUNKS
        };
        let answer =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        socket.write_all(answer.as_bytes()).unwrap();
        for _ in 0..length / CHUNK {
            socket.write_all(&buffer).unwrap();
        }
    });
    let gateway = world.start(&upstream, "account = \"alice\"");
    let before = memory(&gateway);
    let mut most = before;

    let mut socket = connect(gateway.listen);
    let length = CHUNK * CHUNKS;
    let put = format!(
        "PUT /up HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    socket.write_all(put.as_bytes()).unwrap();
    let mut buffer = vec![7; CHUNK];
    for _ in 0..CHUNKS {
        socket.write_all(&buffer).unwrap();
        most = most.max(memory(&gateway));
    }
    is(&head(&mut socket), 200, "");

    let mut socket = connect(gateway.listen);
    let get = "GET /down HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    socket.write_all(get.as_bytes()).unwrap();
    is(&head(&mut socket), 200, "");
    let mut received = 0;
    while let read @ 1.. = socket.read(&mut buffer).unwrap() {
        received += read;
        if received % 64 == 0 {
            most = most.max(memory(&gateway));
        }
    }
    assert_eq!(received, length);
    println!("{before} KiB before, {most} at most");
    assert!(most < before + 16 * 1024, "{before} to {most} KiB");
    assert_eq!(gateway.end().0, Some(0));
}
