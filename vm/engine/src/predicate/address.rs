//! Address ranges. Both sides are compared as 128-bit numbers, IPv4 in its IPv4-mapped IPv6 form (`::ffff:a.b.c.d`).

use std::net::IpAddr;

use trapline_vm::predicate::Cidr;

use super::TestError;

/// Bits before the IPv4 address in its mapped form.
const MAPPED_PREFIX: u8 = 96;

#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    network: u128,
    mask: u128,
}

impl Range {
    pub(super) fn new(range: &Cidr) -> Result<Self, TestError> {
        let refused = TestError::Prefix { address: range.address, prefix: range.prefix };
        let (bits, prefix) = match range.address {
            IpAddr::V4(_) if range.prefix > 32 => return Err(refused),
            IpAddr::V4(address) => (address.to_ipv6_mapped().to_bits(), MAPPED_PREFIX + range.prefix),
            IpAddr::V6(_) if range.prefix > 128 => return Err(refused),
            IpAddr::V6(address) => (address.to_bits(), range.prefix),
        };
        // A shift by all 128 bits is no shift in Rust; the range of everything has an empty mask.
        let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
        Ok(Self { network: bits & mask, mask })
    }

    pub(super) fn contains(self, address: u128) -> bool {
        address & self.mask == self.network
    }
}

/// The 128-bit form of the address that a text is, blanks around it and a zone left out.
pub(super) fn of_text(text: &[u8]) -> Option<u128> {
    let text = std::str::from_utf8(text.trim_ascii()).ok()?;
    let (address, zone) = text.split_once('%').map_or((text, None), |(address, zone)| (address, Some(zone)));
    match address.parse().ok()? {
        IpAddr::V4(address) => zone.is_none().then(|| address.to_ipv6_mapped().to_bits()),
        IpAddr::V6(address) => Some(address.to_bits()),
    }
}

/// The 128-bit form of an address in a record; None if it has neither 4 nor 16 bytes.
pub(super) fn mapped(bytes: &[u8]) -> Option<u128> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Some(std::net::Ipv4Addr::from(octets).to_ipv6_mapped().to_bits());
    }
    <[u8; 16]>::try_from(bytes).ok().map(u128::from_be_bytes)
}
