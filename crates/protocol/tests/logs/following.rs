//! Following a log: each fault of a chain, of its bundles and of a snapshot is seen, and called by its name.

use crate::log::{Log, START, key};
use protocol::event::{Content, Event, EventError};
use protocol::ids::{EnclaveId, EventHash};
use protocol::push::{Delivery, DeliveryError, Payload};
use protocol::snapshot::{ReadError, Snapshot, WriteError, Writer};
use protocol::verify::{BundleError, Chain, ChainError, Cutter, Pin};

fn follow(events: &[Event], pin: &Pin) -> Result<Chain, ChainError> {
    let mut chain = Chain::begin(&events[0], pin)?;
    events[1..].iter().try_for_each(|event| chain.push(event).map(drop))?;
    chain.check_erased()?;
    Ok(chain)
}

fn outcome(log: &Log) -> Result<(), ChainError> {
    follow(&log.events, &Pin::Bound(log.enclave())).map(drop)
}

/// Five events, with a Migrate in between.
fn log() -> Log {
    let mut log = Log::begin();
    log.push(1, "m", "1", 10);
    log.migrate(8);
    log.push(1, "m", "2", 0);
    log.push(1, "m", "3", 10);
    log
}

/// The event at `seq` changed and signed again by its sequencer, so that only the chain can tell.
fn resequenced(mut log: Log, seq: usize, sequencer: u8, change: impl FnOnce(&mut Event)) -> Log {
    let event = &mut log.events[seq];
    change(event);
    event.position.sequencer = key(sequencer).public();
    event.seq_sig = key(sequencer).sign(event.event_hash().as_bytes());
    event.id = protocol::event::event_id(&event.seq_sig);
    log
}

#[test]
fn an_honest_log_is_followed() {
    let log = log();
    let chain = follow(&log.events, &Pin::Bound(log.enclave())).expect("it is honest");
    assert_eq!(chain.next_seq(), 5);
    assert_eq!(*chain.prev(), log.events[4].event_hash());
    let sequencers = chain.sequencers();
    assert_eq!([0, 2, 3, 9].map(|seq| sequencers.at(seq)), [9, 9, 8, 8].map(|number| key(number).public()));
    let may_sign = |number, events| sequencers.may_sign_head(&key(number).public(), events);
    assert_eq!([0, 2, 3, 4].map(|events| may_sign(9, events)), [true, true, true, false]);
    assert_eq!([0, 2, 3, 4].map(|events| may_sign(8, events)), [false, false, true, true]);
}

#[test]
fn each_fault_of_a_chain_has_its_name() {
    let rows: Vec<(Log, ChainError)> = vec![
        (resequenced(log(), 1, 9, |event| event.position.seq = 2), ChainError::Seq),
        (resequenced(log(), 1, 9, |event| event.position.type_seq = 1), ChainError::TypeSeq),
        (resequenced(log(), 1, 9, |event| event.position.prev = EventHash([1; 32])), ChainError::Prev),
        (resequenced(log(), 1, 9, |event| event.position.timestamp = START - 1), ChainError::Timestamp),
        (resequenced(log(), 1, 9, |event| event.position.timestamp += 60_000), ChainError::Prev),
        (resequenced(log(), 1, 9, |event| event.position.timestamp += 180_000), ChainError::Event(EventError::Window)),
        (resequenced(log(), 1, 8, |_| ()), ChainError::Sequencer),
        (resequenced(log(), 3, 9, |_| ()), ChainError::Sequencer),
        (resequenced(log(), 1, 9, |event| event.enclave = EnclaveId([1; 32])), ChainError::OtherEnclave),
        (
            resequenced(log(), 4, 8, |event| event.content = Content::Present("4".into())),
            ChainError::Event(EventError::CommitHash),
        ),
        (resequenced(log(), 4, 8, |event| event.sig.0[0] ^= 1), ChainError::Event(EventError::AuthorSignature)),
        (resequenced(log(), 4, 8, |event| event.content = Content::Deleted(event.content_hash())), ChainError::Erased),
    ];
    for (place, (log, expected)) in rows.into_iter().enumerate() {
        assert_eq!(outcome(&log), Err(expected), "row {place}");
    }
    let mut unsigned = log();
    unsigned.events[4].seq_sig.0[0] ^= 1;
    assert_eq!(outcome(&unsigned), Err(ChainError::Event(EventError::SequencerSignature)));
    let mut renamed = log();
    renamed.events[4].id.0[0] ^= 1;
    assert_eq!(outcome(&renamed), Err(ChainError::Event(EventError::Id)));
}

#[test]
fn each_misplaced_event_has_its_name() {
    let pushed = |author, event_type: &str, content: &str| {
        let mut log = Log::begin();
        log.push(author, event_type, content, 10);
        outcome(&log)
    };
    assert_eq!(pushed(1, "Manifest", "{}"), Err(ChainError::SecondManifest));
    assert_eq!(pushed(9, "m", "1"), Err(ChainError::NodeCommit));
    assert_eq!(pushed(9, "Recovered", "{\"prev_seq\":0}"), Ok(()));
    assert_eq!(pushed(9, "Recovered", "{\"prev_seq\":1}"), Err(ChainError::NodeCommit));
    assert_eq!(pushed(9, "Recovered", "{\"prev_seq\":0,\"more\":1}"), Err(ChainError::NodeCommit));
    assert_eq!(pushed(1, "Recovered", "{\"prev_seq\":0}"), Err(ChainError::NodeCommit));
    let migrate = |key: &str, prev_seq: u64, more: &str| {
        let root = "00".repeat(32);
        pushed(
            1,
            "Migrate",
            &format!("{{\"new_sequencer\":\"{key}\",\"prev_seq\":{prev_seq},\"ct_root\":\"{root}\"{more}}}"),
        )
    };
    let next = key(8).public().hex();
    assert_eq!(migrate(&next, 0, ""), Ok(()));
    assert_eq!(migrate(&next, 1, ""), Err(ChainError::Migrate));
    let mut late = Log::begin();
    late.push(1, "m", "1", 10);
    late.push(
        1,
        "Migrate",
        &format!("{{\"new_sequencer\":\"{next}\",\"prev_seq\":0,\"ct_root\":\"{}\"}}", "00".repeat(32)),
        10,
    );
    assert_eq!(outcome(&late), Err(ChainError::Migrate));
    assert_eq!(migrate(&next, 0, ",\"more\":1"), Err(ChainError::Migrate));
    assert_eq!(migrate(&next, 0, &format!(",\"prev\":\"{}\"", "00".repeat(32))), Err(ChainError::Migrate));
    assert_eq!(migrate(&key(9).public().hex(), 0, ""), Err(ChainError::Migrate));
    assert_eq!(migrate(&"ff".repeat(32), 0, ""), Err(ChainError::Migrate));
}

#[test]
fn a_deleted_event_takes_its_updates_with_it() {
    let mut log = Log::begin();
    let of = log.push(1, "m", "1", 10).id.hex();
    log.tags = vec![vec!["r".into(), of.clone()]];
    log.push(1, "Update", "2", 10);
    log.tags = vec![vec!["r".into(), of]];
    log.push(1, "Delete", "{}", 10);
    assert_eq!(outcome(&log), Ok(()));
    for seq in [1, 2] {
        log.events[seq].content = Content::Deleted(log.events[seq].content_hash());
        assert_eq!(outcome(&log), Ok(()));
    }
    log.events[3].content = Content::Deleted(log.events[3].content_hash());
    assert_eq!(outcome(&log), Err(ChainError::Erased));
}

#[test]
fn an_id_is_believed_for_what_is_pinned() {
    let log = log();
    let first = &log.events[0];
    let pins = [
        (Pin::Bound(log.enclave()), None),
        (Pin::Bound(EnclaveId([1; 32])), Some(ChainError::EnclaveId)),
        (Pin::Unbound { enclave: log.enclave(), manifest: first.hash, sequencer: key(9).public() }, None),
        (
            Pin::Unbound { enclave: log.enclave(), manifest: log.events[1].hash, sequencer: key(9).public() },
            Some(ChainError::EnclaveId),
        ),
        (
            Pin::Unbound { enclave: log.enclave(), manifest: first.hash, sequencer: key(8).public() },
            Some(ChainError::EnclaveId),
        ),
    ];
    for (pin, expected) in pins {
        assert_eq!(follow(&log.events, &pin).err(), expected, "{pin:?}");
    }
    assert_eq!(Chain::begin(&log.events[1], &Pin::Bound(log.enclave())).err(), Some(ChainError::NoManifest));
}

fn cut(log: &Log, counts: &[u64]) -> Result<usize, BundleError> {
    let chain = Chain::begin(&log.events[0], &Pin::Bound(log.enclave())).expect("the Manifest holds");
    let mut cutter = Cutter::new(chain.manifest().bundle, counts)?;
    for event in &log.events {
        cutter.push(event, &event.event_hash())?;
    }
    cutter.finish().map(|open| open.len())
}

#[test]
fn bundles_are_cut_by_the_rules() {
    // Bundles of at most four events and less than 1,000 ms; the Migrate is event 2.
    let mut log = log();
    assert_eq!(cut(&log, &[3]), Ok(2));
    assert_eq!(cut(&log, &[3, 2]), Ok(0));
    assert_eq!(cut(&log, &[1, 2, 1, 1]), Ok(0));
    assert_eq!(cut(&log, &[3, 3]), Err(BundleError::Missing));
    assert_eq!(cut(&log, &[3, 0]), Err(BundleError::Count));
    assert_eq!(cut(&log, &[5]), Err(BundleError::Count));
    assert_eq!(cut(&log, &[4]), Err(BundleError::NotClosed));
    assert_eq!(cut(&log, &[]), Err(BundleError::NotClosed));
    assert_eq!(cut(&log, &[2]), Err(BundleError::NotClosed));
    let first = log.events[3].position.timestamp;
    let so_far = log.events[4].position.timestamp - first;
    let mut early = log.clone();
    early.push(1, "m", "4", 999 - so_far);
    assert_eq!(cut(&early, &[3]), Ok(3));
    assert_eq!(cut(&early, &[3, 3]), Ok(0));
    log.push(1, "m", "4", 1000 - so_far);
    assert_eq!(cut(&log, &[3]), Err(BundleError::Overdue));
    assert_eq!(cut(&log, &[3, 3]), Err(BundleError::Overdue));
    assert_eq!(cut(&log, &[3, 2]), Ok(1));
    early.push(1, "m", "5", 0);
    assert_eq!(cut(&early, &[3]), Err(BundleError::NotClosed));
}

fn written(log: &Log, announced: u64, counts: &[u64]) -> Result<Vec<u8>, WriteError> {
    let (mut writer, mut file) = Writer::begin(&log.sth(START), announced)?;
    for event in &log.events {
        file.extend(writer.event(event)?);
    }
    file.extend(writer.finish(counts, &key(log.sequencer).public())?);
    Ok(file)
}

#[test]
fn a_snapshot_is_written_whole_or_not_at_all() {
    let mut log = log();
    log.counts = vec![3, 1];
    let file = written(&log, 5, &[3, 1]).expect("it is whole");
    let read = Snapshot::read(&file).expect("what is written is read");
    assert_eq!(read.events().collect::<Result<Vec<_>, _>>().as_ref(), Ok(&log.events));
    assert_eq!(written(&log, 4, &[3, 1]), Err(WriteError::Count));
    assert_eq!(written(&log, 6, &[3, 1]), Err(WriteError::Count));
    assert_eq!(written(&log, 5, &[3, 3]), Err(WriteError::Count));
    let mut broken = log.clone();
    broken.events[1].content = Content::Present("{".into());
    assert_eq!(written(&broken, 5, &[3, 1]), Err(WriteError::Content));
    let image = |event: &Event| Writer::begin(&log.sth(START), 1).and_then(|(mut writer, _)| writer.event(event));
    let (own, other) = (image(&log.events[0]).expect("an image"), image(&log.events[1]).expect("an image"));
    let other_manifest = [file.strip_suffix(own.as_slice()).expect("the Manifest ends a file"), &other].concat();
    assert_eq!(Snapshot::read(&other_manifest).err(), Some(ReadError::Manifest));
    let (writer, _) = Writer::begin(&log.sth(START), 0).expect("an STH has an image");
    assert_eq!(writer.finish(&[], &key(9).public()), Err(WriteError::Count));
}

#[test]
fn a_delivery_is_in_order_and_of_one_log() {
    let log = log();
    let chain = follow(&log.events, &Pin::Bound(log.enclave())).expect("it is honest");
    let check = |events: &[usize], signer: u8, enclave: EnclaveId| {
        let events = events.iter().map(|seq| log.events[*seq].clone()).collect();
        let to = "https://example.com/".to_owned();
        let delivery =
            Delivery { push_seq: 1, enclave: log.enclave(), to, time: START, payload: Payload::Events(events) };
        delivery
            .sign(&key(signer))
            .verify(&enclave, chain.sequencers(), "https://example.com/", START)
            .map(|delivery| delivery.push_seq)
    };
    assert_eq!(check(&[1, 3, 4], 8, log.enclave()), Ok(1));
    assert_eq!(check(&[], 8, log.enclave()), Err(DeliveryError::Order));
    assert_eq!(check(&[3, 3], 8, log.enclave()), Err(DeliveryError::Order));
    assert_eq!(check(&[4, 3], 8, log.enclave()), Err(DeliveryError::Order));
    // After a Migrate the old key delivers what it had queued, and nothing that came later.
    assert_eq!(check(&[1], 9, log.enclave()), Ok(1));
    assert_eq!(check(&[1, 2], 9, log.enclave()), Ok(1));
    for later in [&[3][..], &[1, 3], &[4]] {
        assert_eq!(check(later, 9, log.enclave()), Err(DeliveryError::Signature), "{later:?}");
    }
    // A third key delivers nothing.
    assert_eq!(check(&[1], 7, log.enclave()), Err(DeliveryError::Signature));
    assert_eq!(check(&[1], 8, EnclaveId([1; 32])), Err(DeliveryError::OtherEnclave));
}

#[test]
fn one_tag_refers_to_one_event() {
    let id = "ab".repeat(32);
    let rows: &[(&[&[&str]], bool)] = &[
        (&[&["r", &id]], true),
        (&[&["k", "v"], &["r", &id]], true),
        (&[&["k", "r", &id]], false),
        (&[&["r", &id], &["r", &id]], false),
        (&[&["r", &id], &["r"]], false),
        (&[&["r", &id, "x"]], false),
        (&[&["r"]], false),
        (&[&["r", "ab"]], false),
        (&[], false),
    ];
    for (tags, refers) in rows {
        let tags: Vec<Vec<String>> =
            tags.iter().map(|tag| tag.iter().map(|text| (*text).to_owned()).collect()).collect();
        assert_eq!(protocol::event::reference(&tags).is_some(), *refers, "{tags:?}");
    }
}
