//! What a client may not do: hold connections and memory by reading nothing.

use std::io;

use crate::harness::{Gateway, Upstream, eventually};

/// Slow readers (slowhttptest -X): bounded in time and in memory.
#[test]
fn clients_that_read_nothing_are_cut_and_take_little_memory() {
    const READERS: usize = 40;
    let upstream = Upstream::custom(|exchange| {
        exchange.read_body()?;
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")?;
        let block = vec![b'x'; 64 * 1024];
        (0..1_000_000_000 / block.len()).try_for_each(|_| exchange.send(&block))?;
        Err(io::Error::other("it was read"))
    });
    let limits = "[routes]\n\"/**\" = \"public\"\n[limits]\nbody_idle = \"1s\"\n";
    let gateway = Gateway::in_front_of(&upstream, limits);
    let before = gateway.peak_memory_kib();
    let readers: Vec<_> = (0..READERS)
        .map(|_| {
            let mut connection = gateway.client().connect();
            connection.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
            connection
        })
        .collect();
    upstream.wait_for(READERS);
    let open = || {
        let metrics = gateway.admin().get("/metrics").send().text();
        let line = metrics.lines().find_map(|line| line.strip_prefix("freshgate_connections "));
        line.and_then(|number| number.trim().parse::<usize>().ok())
    };
    eventually("every connection to be cut", || (open()? == 0).then_some(()));
    let grown = gateway.peak_memory_kib() - before;
    assert!(grown < 20 * 1024, "{grown} KiB for {READERS} readers");
    drop(readers);
}
