//! The `.enc` file: one that is read whole is written again as the same bytes.

use protocol::snapshot::{Snapshot, Writer};

/// Bytes as a file.
pub fn run(bytes: &[u8]) {
    let Ok(snapshot) = Snapshot::read(bytes) else { return };
    let Ok(events) = snapshot.events().collect::<Result<Vec<_>, _>>() else { return };
    assert_eq!(events.len() as u64, snapshot.event_count());
    assert_eq!(events.first(), Some(&snapshot.manifest));
    let (mut writer, mut again) = Writer::begin(&snapshot.sth, snapshot.event_count()).expect("a head is JSON");
    for event in &events {
        again.extend(writer.event(event).expect("content is canonical"));
    }
    // A reader takes any counts, a writer only those that the events can fill.
    let counted = snapshot.bundles.iter().try_fold(0u64, |sum, count| sum.checked_add(*count));
    match writer.finish(&snapshot.bundles, &snapshot.seq_pub) {
        Ok(end) => {
            again.extend(end);
            assert_eq!(again, bytes);
        }
        Err(error) => assert!(counted.is_none_or(|counted| counted > snapshot.event_count()), "{error:?}"),
    }
    let audited = client::audit::audit_snapshot(bytes, None);
    assert!(audited.is_err() || counted.is_some(), "an audit that holds counts its events");
}
