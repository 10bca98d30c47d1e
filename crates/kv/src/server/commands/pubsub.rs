//! `SUBSCRIBE`, `PUBLISH` and what belongs to them.

use crate::error::Error;
use crate::server::commands::Call;
use crate::server::dispatch::Next;
use crate::server::pubsub::Topic;

/// `SUBSCRIBE channel …`, `PSUBSCRIBE pattern …`
pub(super) fn subscribe(call: &mut Call<'_, '_, '_>, topic: Topic) -> Result<Next, Error> {
    let shared = call.executor.shared.clone();
    for name in call.args.iter().skip(1) {
        let subscriptions = call.session.subscriptions.get_or_insert_with(Box::default);
        if subscriptions.of(topic).insert(name.to_vec()) {
            shared.pubsub.subscribe(topic, name, &call.session.client);
        }
        let count = subscriptions.count();
        call.session.show_subscriptions();
        confirm(call, topic.subscribed(), Some(name), count);
    }
    Ok(Next::Go)
}

/// `UNSUBSCRIBE [channel …]`, `PUNSUBSCRIBE [pattern …]`
pub(super) fn unsubscribe(call: &mut Call<'_, '_, '_>, topic: Topic) -> Result<Next, Error> {
    let shared = call.executor.shared.clone();
    let mut names: Vec<Vec<u8>> = call.args.iter().skip(1).map(<[u8]>::to_vec).collect();
    if names.is_empty() {
        names.extend(
            call.session.subscriptions.as_mut().into_iter().flat_map(|all| all.of(topic).iter().cloned()),
        );
    }
    if names.is_empty() {
        let count = call.session.subscriptions.as_ref().map_or(0, |all| all.count());
        confirm(call, topic.unsubscribed(), None, count);
    }
    for name in &names {
        let mut count = 0;
        if let Some(subscriptions) = &mut call.session.subscriptions {
            if subscriptions.of(topic).remove(name) {
                shared.pubsub.unsubscribe(topic, name, &call.session.client);
            }
            count = subscriptions.count();
        }
        // What was published before comes before the confirmation.
        call.deliver_messages();
        call.session.show_subscriptions();
        confirm(call, topic.unsubscribed(), Some(name), count);
    }
    Ok(Next::Go)
}

fn confirm(call: &mut Call<'_, '_, '_>, what: &[u8], name: Option<&[u8]>, count: usize) {
    call.reply.push(3);
    call.reply.bulk(what);
    call.reply.bulk_or_null(name);
    call.reply.count(count);
}

/// `PUBLISH channel message`
pub(super) fn publish(call: &mut Call<'_, '_, '_>) -> Result<Next, Error> {
    let (channel, message) = (call.args.at(1), call.args.at(2));
    let shared = &call.executor.shared;
    let reached = shared.publish(channel, message, call.executor.now);
    if call.held.is_none() {
        shared.primary.backlog.append(call.session.db, call.args.iter());
    }
    // Its own message comes before the answer, or behind those of the whole transaction.
    call.deliver_messages();
    call.reply.count(reached);
    Ok(Next::Go)
}

/// `PUBSUB CHANNELS|NUMSUB|NUMPAT|…`
pub(super) fn pubsub(call: &mut Call<'_, '_, '_>) -> Result<Next, Error> {
    let pubsub = &call.executor.shared.pubsub;
    let args = call.args;
    if args.is(1, "CHANNELS") {
        if args.len() > 3 {
            return Err(call.misused_subcommand());
        }
        let channels = pubsub.channels(args.get(2));
        call.reply.array(channels.len());
        channels.iter().for_each(|channel| call.reply.bulk(channel));
    } else if args.is(1, "NUMSUB") {
        call.reply.array((args.len() - 2) * 2);
        for channel in args.iter().skip(2) {
            call.reply.bulk(channel);
            call.reply.count(pubsub.subscribers(channel));
        }
    } else if args.is(1, "NUMPAT") {
        call.expect(2..=2)?;
        call.reply.count(pubsub.counts().1);
    } else if args.is(1, "SHARDCHANNELS") {
        call.reply.array(0);
    } else if args.is(1, "SHARDNUMSUB") {
        call.reply.array((args.len() - 2) * 2);
        for channel in args.iter().skip(2) {
            call.reply.bulk(channel);
            call.reply.count(0);
        }
    } else if args.is(1, "HELP") {
        return call.help(&[
            "PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
            "CHANNELS [<pattern>]",
            "    Return the currently active channels matching a <pattern> (default: '*').",
            "NUMPAT",
            "    Return number of subscriptions to patterns.",
            "NUMSUB [<channel> ...]",
            "    Return the number of subscribers for the specified channels, excluding",
            "    pattern subscriptions(default: no channels).",
            "HELP",
            "    Print this help.",
        ]);
    } else {
        return Err(call.unknown_subcommand());
    }
    Ok(Next::Go)
}
