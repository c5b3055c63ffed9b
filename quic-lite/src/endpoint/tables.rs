//! Keeps the tables of an endpoint in step with its connections. RFC 9000 §5.1, §8.1.3, §10.3.1.
//!
//! Promise: what stands in a table for a connection also stands in its entry, so that nothing is left
//! behind when the connection goes.

use std::net::SocketAddr;

use crate::connection::Event;
use crate::limits;
use crate::wire::connection_id::ConnectionId;
use crate::wire::stream_id::Side;

use super::Endpoint;
use super::routes::ResetToken;

impl Endpoint {
    /// Follows an event, before the application learns of it.
    pub(super) fn on_event(&mut self, slot: usize, event: &Event) {
        match event {
            Event::ConnectionIdIssued(cid) => self.add_cid(slot, *cid),
            Event::ConnectionIdRetired(cid) => self.remove_cid(slot, cid),
            Event::ResetTokenLearned(token) => self.add_reset(slot, *token),
            Event::ResetTokenForgotten(token) => self.remove_reset(slot, token),
            Event::PathChanged { new, .. } => self.move_resets(slot, new.remote),
            Event::Connected => self.on_connected(slot),
            Event::NewToken(token) => self.keep_token(slot, token),
            _ => {}
        }
    }

    pub(super) fn add_cid(&mut self, slot: usize, cid: ConnectionId) {
        if let Some(entry) = self
            .slots
            .entry(slot)
            .filter(|entry| !entry.cids.contains(&cid))
        {
            entry.cids.push(cid);
            self.routes.add(cid, slot);
        }
    }

    fn remove_cid(&mut self, slot: usize, cid: &ConnectionId) {
        if let Some(entry) = self
            .slots
            .entry(slot)
            .filter(|entry| entry.cids.contains(cid))
        {
            entry.cids.retain(|own| own != cid);
            self.routes.remove(cid);
        }
    }

    fn add_reset(&mut self, slot: usize, token: ResetToken) {
        if let Some(entry) = self
            .slots
            .entry(slot)
            .filter(|entry| entry.resets.len() < limits::RESET_TOKENS)
        {
            let remote = entry.connection.path().remote;
            entry.resets.push((remote, token));
            self.routes.add_reset(remote, token, slot);
        }
    }

    fn remove_reset(&mut self, slot: usize, token: &ResetToken) {
        let Some(entry) = self.slots.entry(slot) else {
            return;
        };
        for (remote, token) in entry.resets.extract_if(.., |(_, known)| known == token) {
            self.routes.remove_reset(remote, token, slot);
        }
    }

    /// RFC 9000 §10.3.1: a reset counts from the address that packets are sent to.
    fn move_resets(&mut self, slot: usize, new: SocketAddr) {
        let Some(entry) = self.slots.entry(slot) else {
            return;
        };
        for (remote, token) in &mut entry.resets {
            self.routes.remove_reset(*remote, *token, slot);
            *remote = new;
            self.routes.add_reset(*remote, *token, slot);
        }
    }

    fn on_connected(&mut self, slot: usize) {
        self.leave_half_open(slot);
        let Some(entry) = self.slots.entry(slot) else {
            return;
        };
        if self.config.new_tokens && entry.connection.side() == Side::Server {
            let remote = entry.connection.path().remote.ip();
            let token = self
                .token_key
                .seal_new_token(remote, self.now, self.rng.bytes());
            entry.connection.send_new_token(token);
        }
    }

    fn keep_token(&mut self, slot: usize, token: &[u8]) {
        let entry = self.slots.entry(slot);
        if let Some(name) = entry.and_then(|entry| entry.connection.server_name()) {
            self.server_tokens.put(name, token.to_vec());
        }
    }

    fn leave_half_open(&mut self, slot: usize) {
        if let Some(ip) = self
            .slots
            .entry(slot)
            .and_then(|entry| entry.half_open.take())
        {
            self.half_open.remove(ip);
        }
    }

    /// Forgets a connection that is over.
    pub(super) fn free(&mut self, slot: usize) {
        self.leave_half_open(slot);
        self.timers.clear(slot);
        let Some(entry) = self.slots.remove(slot) else {
            return;
        };
        for cid in &entry.cids {
            self.routes.remove(cid);
        }
        if let Some((remote, cid)) = entry.original {
            self.routes.remove_original(remote, cid);
        }
        for (remote, token) in entry.resets {
            self.routes.remove_reset(remote, token, slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::config::Config;
    use crate::endpoint::EndpointConfig;
    use crate::time::Time;
    use crate::tls::ClientTls;

    #[test]
    fn reset_tokens_of_one_connection_are_limited_and_go_with_it() {
        let mut endpoint = Endpoint::new(EndpointConfig::default(), [1; 32]);
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        endpoint.set_local_addresses(&[local]);
        let remote = SocketAddr::from((Ipv4Addr::LOCALHOST, 443));
        let tls = ClientTls::insecure(&[b"test"]).unwrap();
        let handle = endpoint.connect(Time::ZERO, &tls, remote, "localhost", Config::default());
        assert!(handle.is_ok());
        let learned = |endpoint: &mut Endpoint| {
            for token in 0..=255 {
                endpoint.on_event(0, &Event::ResetTokenLearned([token; 16]));
            }
            endpoint.slots.entry(0).map(|entry| entry.resets.len())
        };
        assert_eq!(learned(&mut endpoint), Some(limits::RESET_TOKENS));
        for token in 0..=255 {
            endpoint.on_event(0, &Event::ResetTokenForgotten([token; 16]));
        }
        assert_eq!(learned(&mut endpoint), Some(limits::RESET_TOKENS));
    }
}
