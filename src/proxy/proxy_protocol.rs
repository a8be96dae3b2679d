//! The PROXY protocol, version 2: tells a TCP service whose connection it gets.

use std::net::{IpAddr, SocketAddr};

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, on behalf of somebody.
const PROXY: u8 = 0x21;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

/// What goes ahead of the bytes of a connection from `source` to `destination`.
pub(super) fn header(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let addresses = [source.ip().to_canonical(), destination.ip().to_canonical()];
    let mut block = Vec::with_capacity(36);
    let family = if let [IpAddr::V4(source), IpAddr::V4(destination)] = addresses {
        block.extend_from_slice(&source.octets());
        block.extend_from_slice(&destination.octets());
        TCP4
    } else {
        for address in addresses {
            let address = match address {
                IpAddr::V4(address) => address.to_ipv6_mapped(),
                IpAddr::V6(address) => address,
            };
            block.extend_from_slice(&address.octets());
        }
        TCP6
    };
    block.extend_from_slice(&source.port().to_be_bytes());
    block.extend_from_slice(&destination.port().to_be_bytes());
    let length = u16::try_from(block.len()).unwrap_or_default();
    let mut all = SIGNATURE.to_vec();
    all.extend_from_slice(&[PROXY, family]);
    all.extend_from_slice(&length.to_be_bytes());
    all.extend(block);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_are_told_in_the_binary_form() {
        let of = |a: &str, b: &str| hex::encode(header(a.parse().unwrap(), b.parse().unwrap()));
        assert_eq!(
            of("192.0.2.1:258", "198.51.100.2:443"),
            "0d0a0d0a000d0a515549540a2111000cc0000201c6336402010201bb"
        );
        assert_eq!(
            of("[2001:db8::1]:1", "[::ffff:198.51.100.2]:2"),
            "0d0a0d0a000d0a515549540a2121002420010db8000000000000000000000001\
             00000000000000000000ffffc633640200010002"
        );
        assert_eq!(of("[::ffff:192.0.2.1]:258", "198.51.100.2:443").len(), 56);
    }
}
