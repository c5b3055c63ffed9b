//! Text and files that people write: the moqt URI (draft-ietf-moq-transport-18 §3.1), names, IVF clips (No RFC).

use quic_relay::ivf::Reader;
use quic_relay::moqt::{FullTrackName, Namespace};
use quic_relay::url::RelayUrl;

/// A URL that is one is put together again from its parts, and shown, without its token, as one of the same place; a path
/// of names is written back as the same.
pub fn relay_url(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match text.parse::<RelayUrl>() {
        Ok(url) => {
            let whole = format!("moqt://{}{}", url.authority(), url.path());
            assert_eq!(whole.parse(), Ok(url.clone()));
            let shown: RelayUrl = url.to_string().parse().unwrap();
            assert_eq!(shown.authority(), url.authority());
            assert_eq!(shown.to_string(), url.to_string());
            assert!(!url.host().is_empty() && url.port() > 0);
            assert!(url.path().is_empty() || url.path().starts_with(['/', '?']));
            assert!(text.ends_with(url.path()));
        }
        Err(error) => assert!(!error.to_string().contains('\n')),
    }
    let Some(namespace) = Namespace::from_path(text) else {
        return;
    };
    let mut bytes = Vec::new();
    namespace.encode(&mut bytes);
    assert_eq!(Namespace::parse(&bytes), Ok((&[][..], namespace.clone())));
    assert!(namespace.is_prefix_of(&namespace) && namespace.prefixes().count() > 0);
    if let Some(name) = FullTrackName::new(namespace, data) {
        let mut bytes = Vec::new();
        name.encode(&mut bytes);
        assert_eq!(FullTrackName::parse(&bytes), Ok((&[][..], name.clone())));
        assert!(!name.to_string().contains('\n'));
    }
}

/// A clip is read to its end or to an error, and gives back the bytes that it was read from.
pub fn ivf(data: &[u8]) {
    let Ok(mut reader) = Reader::new(data) else {
        return;
    };
    let codec = reader.header().codec();
    let mut written = reader.header().as_bytes().to_vec();
    while let Ok(Some(frame)) = reader.next_frame() {
        let len = u32::try_from(frame.payload.len()).unwrap();
        written.extend(quic_relay::ivf::frame_header(frame.timestamp, len));
        written.extend_from_slice(&frame.payload);
        reader.header().presentation_time(frame.timestamp);
        if let Some(codec) = codec {
            codec.is_key_frame(&frame.payload);
        }
    }
    assert!(data.starts_with(&written));
}
