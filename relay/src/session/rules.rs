//! Which message may come when on a request stream (draft §10, table 3, and the section of each).

use crate::moqt::{Message, MoqtError};

/// What a request is about; fixed by its first message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Subscribe,
    Publish,
    Fetch,
    TrackStatus,
    PublishNamespace,
    SubscribeNamespace,
    SubscribeTracks,
}

impl Kind {
    /// The kind that a first message opens.
    pub(super) fn opened_by(message: &Message) -> Option<Self> {
        match message {
            Message::Subscribe(_) => Some(Self::Subscribe),
            Message::Publish(_) => Some(Self::Publish),
            Message::Fetch(_) => Some(Self::Fetch),
            Message::TrackStatus(_) => Some(Self::TrackStatus),
            Message::PublishNamespace(_) => Some(Self::PublishNamespace),
            Message::SubscribeNamespace(_) => Some(Self::SubscribeNamespace),
            Message::SubscribeTracks(_) => Some(Self::SubscribeTracks),
            _ => None,
        }
    }
}

/// Checks a message that the peer sends after the first of a request; `ours` says who made the
/// request, `answered` whether the first answer was given.
pub(super) fn check(
    kind: Kind,
    ours: bool,
    answered: bool,
    message: &Message,
) -> Result<(), MoqtError> {
    let allowed = match message {
        // Draft §10.4: either side may ask for the migration of a request.
        Message::GoAway(_) => true,
        Message::RequestUpdate(_) => may_update(kind, ours),
        Message::PublishDone(_) => answered_publisher(kind, ours, answered),
        _ if ours && !answered => first_answer(kind, message),
        // Answers to REQUEST_UPDATEs of ours.
        Message::RequestOk(_) | Message::RequestError(_) => kind != Kind::TrackStatus,
        Message::Namespace(_) | Message::NamespaceDone(_) => {
            ours && kind == Kind::SubscribeNamespace
        }
        Message::PublishBlocked(_) => ours && kind == Kind::SubscribeTracks,
        _ => false,
    };
    if allowed {
        Ok(())
    } else {
        Err(MoqtError::violation("message not allowed on this request"))
    }
}

/// Draft §10.9: the sender of a request updates it; the subscriber also updates a PUBLISH.
fn may_update(kind: Kind, ours: bool) -> bool {
    kind != Kind::TrackStatus && (!ours || kind == Kind::Publish)
}

/// Draft §10.11: from the publisher of a subscription, not before the subscription exists.
fn answered_publisher(kind: Kind, ours: bool, answered: bool) -> bool {
    match kind {
        Kind::Subscribe => ours && answered,
        Kind::Publish => !ours,
        _ => false,
    }
}

/// Whether a request is cancelled when the peer only stops reading it (draft §5.1.1, §6.1): a subscriber
/// ends so what it asked for or was offered. A publisher still has PUBLISH_DONE or an answer to send.
pub(super) fn stop_cancels(kind: Kind, ours: bool) -> bool {
    match kind {
        Kind::PublishNamespace => true,
        Kind::Publish => ours,
        _ => !ours,
    }
}

fn first_answer(kind: Kind, message: &Message) -> bool {
    match (kind, message) {
        (_, Message::RequestError(_)) => true,
        (Kind::Subscribe, Message::SubscribeOk(_)) | (Kind::Fetch, Message::FetchOk(_)) => true,
        (Kind::Subscribe | Kind::Fetch, _) => false,
        // Draft §10.5: only TRACK_STATUS is answered with properties.
        (kind, Message::RequestOk(ok)) => {
            kind == Kind::TrackStatus || ok.properties.as_bytes().is_empty()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moqt::message::{PublishDone, RequestOk, RequestUpdate, SubscribeOk};
    use crate::moqt::{DoneCode, Namespace, Parameters};

    fn done() -> Message {
        Message::PublishDone(PublishDone {
            status: DoneCode::TRACK_ENDED,
            stream_count: 0,
            reason: String::new(),
        })
    }

    fn update() -> Message {
        Message::RequestUpdate(RequestUpdate {
            request_id: 2,
            parameters: Parameters::default(),
        })
    }

    #[test]
    fn a_subscribe_is_answered_by_subscribe_ok_only() {
        let ok = Message::SubscribeOk(SubscribeOk::default());
        assert!(check(Kind::Subscribe, true, false, &ok).is_ok());
        assert!(check(Kind::Subscribe, true, true, &ok).is_err());
        assert!(
            check(
                Kind::Subscribe,
                true,
                false,
                &Message::RequestOk(RequestOk::default())
            )
            .is_err()
        );
        assert!(check(Kind::Subscribe, false, true, &ok).is_err());
    }

    #[test]
    fn only_publishers_end_subscriptions() {
        assert!(check(Kind::Subscribe, true, true, &done()).is_ok());
        assert!(check(Kind::Subscribe, true, false, &done()).is_err());
        assert!(check(Kind::Subscribe, false, true, &done()).is_err());
        assert!(check(Kind::Publish, false, false, &done()).is_ok());
    }

    #[test]
    fn updates_come_from_whoever_asked_and_from_subscribers() {
        assert!(check(Kind::Subscribe, false, true, &update()).is_ok());
        assert!(check(Kind::Subscribe, true, true, &update()).is_err());
        assert!(check(Kind::Publish, true, true, &update()).is_ok());
        assert!(check(Kind::TrackStatus, false, false, &update()).is_err());
    }

    #[test]
    fn only_subscribers_cancel_by_not_reading() {
        assert!(stop_cancels(Kind::Subscribe, false) && !stop_cancels(Kind::Subscribe, true));
        assert!(stop_cancels(Kind::Publish, true) && !stop_cancels(Kind::Publish, false));
        assert!(stop_cancels(Kind::PublishNamespace, true));
        assert!(stop_cancels(Kind::PublishNamespace, false));
    }

    #[test]
    fn namespaces_come_only_where_they_were_asked_for() {
        let namespace = Message::Namespace(Namespace::empty());
        assert!(check(Kind::SubscribeNamespace, true, true, &namespace).is_ok());
        assert!(check(Kind::SubscribeNamespace, true, false, &namespace).is_err());
        assert!(check(Kind::Subscribe, true, true, &namespace).is_err());
    }
}
