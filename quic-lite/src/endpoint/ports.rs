//! Ports that no client sends from, but an attacker says it does (RFC 9000 §21.5): services there answer what they
//! do not understand, to us or, with a forged address in turn, for ever.
//!
//! Promise: a stranger with such a source port costs a search in a short list, and is never answered.

/// Whether a datagram from there is not to be answered.
pub(super) fn is_reflector(port: u16) -> bool {
    REFLECTORS.binary_search(&port).is_ok()
}

/// Echo, chargen and what else has been used in reflection attacks; port 0 cannot be sent to.
const REFLECTORS: [u16; 17] = [
    0,      // nobody
    7,      // echo
    17,     // quote of the day
    19,     // chargen
    53,     // DNS
    69,     // TFTP
    111,    // portmap
    123,    // NTP
    137,    // NetBIOS
    161,    // SNMP
    389,    // CLDAP
    500,    // IKE
    1900,   // SSDP
    3702,   // WS-Discovery
    5353,   // mDNS
    5355,   // LLMNR
    11_211, // memcached
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_a_client_is_not_in_it() {
        assert!(REFLECTORS.is_sorted_by(|a, b| a < b));
        assert!(REFLECTORS.iter().all(|port| is_reflector(*port)));
        assert!(
            [443, 4443, 1024, 40_000, 65_535]
                .iter()
                .all(|port| !is_reflector(*port))
        );
    }
}
