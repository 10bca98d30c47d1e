//! [`Pubsub`]: who has subscribed to what, on all threads.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::command::glob;
use crate::resp::{Protocol, Reply};
use crate::server::clients::Client;

/// All subscriptions.
#[derive(Debug, Default)]
pub(crate) struct Pubsub {
    topics: RwLock<Topics>,
}

#[derive(Debug, Default)]
struct Topics {
    channels: HashMap<Vec<u8>, Subscribers>,
    patterns: HashMap<Vec<u8>, Subscribers>,
}

type Subscribers = HashMap<u64, Arc<Client>>;

/// A channel by its name, or all channels a pattern matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    /// `SUBSCRIBE`
    Channel,
    /// `PSUBSCRIBE`
    Pattern,
}

impl Topic {
    /// What a subscription is confirmed with.
    pub(crate) fn subscribed(self) -> &'static [u8] {
        match self {
            Self::Channel => b"subscribe",
            Self::Pattern => b"psubscribe",
        }
    }

    /// What its end is confirmed with.
    pub(crate) fn unsubscribed(self) -> &'static [u8] {
        match self {
            Self::Channel => b"unsubscribe",
            Self::Pattern => b"punsubscribe",
        }
    }
}

impl Pubsub {
    /// The client hears of what is published there from now on.
    pub(crate) fn subscribe(&self, topic: Topic, name: &[u8], client: &Arc<Client>) {
        self.write().of(topic).entry(name.to_vec()).or_default().insert(client.id, client.clone());
    }

    /// It hears of it no more.
    pub(crate) fn unsubscribe(&self, topic: Topic, name: &[u8], client: &Client) {
        let mut topics = self.write();
        let names = topics.of(topic);
        if let Some(subscribers) = names.get_mut(name) {
            subscribers.remove(&client.id);
            if subscribers.is_empty() {
                names.remove(name);
            }
        }
    }

    /// Sends a message to all who hear of the channel, by `send`; how many they are.
    pub(crate) fn publish(
        &self,
        channel: &[u8],
        message: &[u8],
        mut send: impl FnMut(&Arc<Client>, &Arc<[u8]>),
    ) -> usize {
        let topics = self.read();
        let mut reached = 0;
        if let Some(subscribers) = topics.channels.get(channel) {
            let parts: [&[u8]; 3] = [b"message", channel, message];
            let mut messages = Messages::new(&parts);
            for client in subscribers.values() {
                send(client, messages.of(client.protocol()));
            }
            reached += subscribers.len();
        }
        for (pattern, subscribers) in &topics.patterns {
            if glob::matches(pattern, channel) {
                let parts: [&[u8]; 4] = [b"pmessage", pattern, channel, message];
                let mut messages = Messages::new(&parts);
                for client in subscribers.values() {
                    send(client, messages.of(client.protocol()));
                }
                reached += subscribers.len();
            }
        }
        reached
    }

    /// The channels somebody has subscribed to by name, those that match `pattern` if there is one.
    pub(crate) fn channels(&self, pattern: Option<&[u8]>) -> Vec<Vec<u8>> {
        let topics = self.read();
        let matches = |name: &&Vec<u8>| pattern.is_none_or(|pattern| glob::matches(pattern, name));
        topics.channels.keys().filter(matches).cloned().collect()
    }

    /// How many have subscribed to the channel by its name.
    pub(crate) fn subscribers(&self, channel: &[u8]) -> usize {
        self.read().channels.get(channel).map_or(0, HashMap::len)
    }

    /// Channels and patterns with subscribers.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let topics = self.read();
        (topics.channels.len(), topics.patterns.len())
    }

    fn read(&self) -> RwLockReadGuard<'_, Topics> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Topics> {
        self.topics.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Topics {
    fn of(&mut self, topic: Topic) -> &mut HashMap<Vec<u8>, Subscribers> {
        match topic {
            Topic::Channel => &mut self.channels,
            Topic::Pattern => &mut self.patterns,
        }
    }
}

/// One message, written once for each version of the protocol that somebody speaks.
struct Messages<'a> {
    parts: &'a [&'a [u8]],
    resp2: Option<Arc<[u8]>>,
    resp3: Option<Arc<[u8]>>,
}

impl<'a> Messages<'a> {
    fn new(parts: &'a [&'a [u8]]) -> Self {
        Self { parts, resp2: None, resp3: None }
    }

    fn of(&mut self, protocol: Protocol) -> &Arc<[u8]> {
        let place = match protocol {
            Protocol::Resp2 => &mut self.resp2,
            Protocol::Resp3 => &mut self.resp3,
        };
        let parts = self.parts;
        place.get_or_insert_with(|| {
            let mut out = Vec::new();
            let mut reply = Reply::new(&mut out, protocol);
            reply.push(parts.len());
            parts.iter().for_each(|part| reply.bulk(part));
            out.into()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(id: u64) -> Arc<Client> {
        let address = "127.0.0.1:1".parse().unwrap();
        Arc::new(Client::new(id, address, address, 0, 0))
    }

    #[test]
    fn messages_reach_names_and_patterns() {
        let pubsub = Pubsub::default();
        let (one, two) = (client(1), client(2));
        two.speaks(Protocol::Resp3);
        pubsub.subscribe(Topic::Channel, b"news", &one);
        pubsub.subscribe(Topic::Channel, b"news", &one);
        pubsub.subscribe(Topic::Pattern, b"n?ws", &two);
        let mut sent = Vec::new();
        let mut send = |client: &Arc<Client>, message: &Arc<[u8]>| {
            sent.push((client.id, String::from_utf8(message.to_vec()).unwrap()));
        };
        assert_eq!(pubsub.publish(b"news", b"hi", &mut send), 2);
        assert_eq!(pubsub.publish(b"other", b"hi", &mut send), 0);
        assert_eq!(
            sent,
            [
                (1, "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n".to_owned()),
                (2, ">4\r\n$8\r\npmessage\r\n$4\r\nn?ws\r\n$4\r\nnews\r\n$2\r\nhi\r\n".to_owned()),
            ]
        );
        assert_eq!(pubsub.channels(Some(b"n*")), [b"news".to_vec()]);
        assert_eq!((pubsub.subscribers(b"news"), pubsub.counts()), (1, (1, 1)));
        pubsub.unsubscribe(Topic::Channel, b"news", &one);
        pubsub.unsubscribe(Topic::Pattern, b"n?ws", &two);
        assert_eq!((pubsub.publish(b"news", b"hi", |_, _| ()), pubsub.counts()), (0, (0, 0)));
    }
}
