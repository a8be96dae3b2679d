//! Any bytes as what a client sends, in parts of any size, as a host and as its cookies.
#![no_main]

use std::net::SocketAddr;

use envctl::proxy::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (usize, &str, SocketAddr, SocketAddr, &[u8])| {
    let (part, known, source, destination, bytes) = input;
    fuzzing::framing(bytes, part % 4096);
    fuzzing::host(bytes, known);
    fuzzing::proxy_protocol(source, destination);
    fuzzing::cookies(bytes, known, part as u8);
    fuzzing::asset(known);
});
