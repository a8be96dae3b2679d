//! Ports that no other sandbox has, of this process or of another.

use std::net::TcpListener;

/// A block of ports. Its last one stays bound as the sign that the block is taken.
#[derive(Debug)]
pub struct Ports {
    first: u16,
    _sign: TcpListener,
}

const SIZE: u16 = 40;
/// Below the range from which the system takes ports for outgoing connections.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

impl Ports {
    pub fn reserve() -> Self {
        let blocks = (RANGE.end - RANGE.start) / SIZE;
        let mut bytes = [0; 2];
        getrandom::fill(&mut bytes).unwrap();
        let begin = u16::from_le_bytes(bytes) % blocks;
        (0..blocks)
            .map(|index| RANGE.start + (begin + index) % blocks * SIZE)
            .find_map(Self::take)
            .expect("no block of free ports")
    }

    fn take(first: u16) -> Option<Self> {
        let sign = bind(first + SIZE - 1)?;
        (first..first + SIZE - 1)
            .all(|port| bind(port).is_some())
            .then_some(Self { first, _sign: sign })
    }

    /// The port of that number in the block. Numbers 0 to 9 leave room for previews at +10 and +20.
    pub fn get(&self, number: u16) -> u16 {
        assert!(number < SIZE - 1);
        self.first + number
    }
}

fn bind(port: u16) -> Option<TcpListener> {
    TcpListener::bind(("127.0.0.1", port)).ok()
}
