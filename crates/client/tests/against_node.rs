//! The SDK against a real node, and against one that lies, forgets or falls silent.

#[path = "support/lying_proxy.rs"]
mod lying_proxy;
#[path = "support/running.rs"]
mod running;

use client::audit::audit_snapshot;
use client::proof_file::{Proof, ProofFile, Proved, verify_file};
use client::reading::content_of;
use client::watch::Seen;
use client::{Enclave, Error, Falsehood, Filter, FolderStore, Identity, MemoryStore, Name, Node, Store, Template};
use lying_proxy::LyingProxy;
use protocol::event::Position;
use protocol::head::Sth;
use protocol::state::{Bitmask, StateName};
use protocol::{Code, Event, Json};
use running::Running;
use std::sync::Arc;

fn identity() -> Identity {
    Identity::generate().expect("random bytes").0
}

/// Longer than any bundle of these tests may stay open.
const TWO_HOURS_MS: u64 = 7_200_000;

/// An enclave of the template `open`, for its owner.
fn made_at(url: &str, store: Arc<dyn Store>) -> Enclave {
    template_at(url, Template::Open, store)
}

fn template_at(url: &str, template: Template, store: Arc<dyn Store>) -> Enclave {
    let node = Node::connect(url).expect("the node answers");
    let me = identity();
    let sequencer = node.info().expect("the node answers").sequencer;
    let manifest = patient(template.manifest(&sequencer, &me.public()));
    Enclave::create(&node, &manifest, vec![], (me, store)).expect("it is made").enclave
}

/// The same manifest with bundles that close only when they are told to, however slow the machine is.
fn patient(manifest: Json) -> Json {
    let Json::Object(members) = manifest else { panic!("a manifest is an object") };
    let bundle = Json::object([("size", Json::from(256)), ("timeout", Json::from(3_600_000))]);
    Json::object(members.into_iter().chain([("bundle".to_string(), bundle)]))
}

fn made(node: &Running) -> Enclave {
    made_at(&node.url, MemoryStore::shared())
}

fn message(text: &str) -> Json {
    Json::object([("text", Json::from(text))])
}

#[test]
fn what_is_committed_is_read_proved_and_audited() {
    let node = Running::start();
    let enclave = made(&node);
    let sent: Vec<_> =
        ["one", "two", "three"].map(|text| enclave.commit("Message", &message(text)).expect("sent")).into();
    assert_eq!(sent[2].receipt.position.seq, 3);
    let read = enclave.query_all(&Filter::of_type("Message")).expect("read");
    assert_eq!(read, sent.iter().map(|sent| sent.event.clone()).collect::<Vec<_>>());
    assert_eq!(content_of(&read[1]), Some(message("two")));
    assert_eq!(enclave.event(sent[0].receipt.id).expect("read"), Some(sent[0].event.clone()));
    assert!(matches!(enclave.prove_event(&sent[0].receipt), Err(error) if error.code() == Some(Code::NotBundled)));
    let early = enclave.audit(&mut |_, _| {}).expect("the log holds, though no bundle of it is closed");
    assert_eq!((early.replayed.events, early.replayed.open_events, early.receipts, early.tree_size), (4, 4, 4, 0));
    let head = enclave.close_bundle().expect("the owner may");
    assert!(head.fresh && head.tree_size() == 1);
    let proven = enclave.prove_event(&sent[1].receipt).expect("proved");
    assert_eq!(proven.answer.entry.leaf_index, 0);
    let me = enclave.me().expect("an identity");
    let state = enclave.prove_states(&[StateName::Identity(&me), StateName::Gate("none")]).expect("proved");
    assert!(state.current && state.values[1].is_none());
    let pin = enclave.pin();
    let mask = Bitmask::from_value(state.values[0]);
    assert_eq!(pin.manifest().state_name(mask.state()), Some("MEMBER"));
    let audited = enclave.audit(&mut |_, _| {}).expect("the log holds");
    assert_eq!((audited.replayed.events, audited.receipts), (4, 4));
    let (bytes, snapshot) = enclave.snapshot().expect("the owner may");
    assert_eq!(snapshot.replayed.root, audited.replayed.root);
    assert_eq!(audit_snapshot(&bytes, None).expect("offline").0, enclave.id());
    assert_eq!(enclave.checkpoint().expect("both lines").tree_size, 1);
}

#[test]
fn pages_follow_one_another_in_both_directions() {
    let node = Running::start();
    let enclave = made(&node);
    let sent: Vec<u64> =
        (0..7).map(|n| enclave.commit("Message", &Json::from(n)).expect("sent").receipt.position.seq).collect();
    for (limit, reverse) in [(1, false), (3, false), (7, false), (2, true), (100, true)] {
        let filter = Filter { limit: Some(limit), reverse, ..Filter::of_type("Message") };
        let mut seqs: Vec<u64> =
            enclave.query_all(&filter).expect("read").iter().map(|event| event.position.seq).collect();
        if reverse {
            seqs.reverse();
        }
        assert_eq!(seqs, sent, "limit {limit}, reverse {reverse}");
    }
    let whole: usize = enclave.log(None).map(|page| page.expect("no gap").len()).sum();
    assert_eq!(whole, 8);
}

#[test]
fn sealed_requests_do_all_that_plain_ones_do() {
    let node = Running::with(|config| config.encryption.require = true);
    let enclave = made(&node);
    assert!(matches!(enclave.query(&Filter::all()), Err(error) if error.code() == Some(Code::Unauthorized)));
    let enclave = enclave.sealed(true);
    let sent = enclave.commit("Message", &message("hidden")).expect("sent");
    assert_eq!(enclave.query_all(&Filter::all()).expect("read").len(), 2);
    enclave.close_bundle().expect("the owner may");
    enclave.prove_event(&sent.receipt).expect("proved");
    enclave.prove_state(&StateName::Lifecycle).expect("proved");
    enclave.prove_bundle(&sent.receipt).expect("proved");
    let refused = enclave.commit("Other", &message("not in the manifest"));
    assert!(matches!(refused, Err(error) if error.code() == Some(Code::Unauthorized)));
}

#[test]
fn refusals_come_with_their_code_and_their_detail() {
    let node = Running::start();
    let enclave = made(&node);
    let outsider = enclave.for_identity(Some(identity()));
    assert_eq!(outsider.commit("Message", &message("no")).expect_err("refused").code(), Some(Code::Unauthorized));
    assert_eq!(outsider.query(&Filter::all()).expect_err("refused").code(), Some(Code::Unauthorized));
    let mut late = enclave.draft("Message", &message("late"));
    late.exp -= 200_000;
    let Err(Error::Refused(refusal)) = enclave.submit(late) else { panic!("an expired commit is refused") };
    assert_eq!(refusal.code, Code::Expired);
    assert!(refusal.detail.time.is_some(), "the node's clock is told");
}

#[test]
fn a_lost_answer_is_asked_for_and_nothing_is_stored_twice() {
    let node = Running::start();
    let mut cut = 0;
    let proxy = LyingProxy::start(
        &node.url,
        Box::new(move |_, answer| {
            // The answers to both commits are lost: each comes behind a receipt that the proxy has seen.
            let is_message = answer.body.starts_with(br#"{"alg""#) && answer.line.starts_with("POST / ");
            cut += usize::from(is_message);
            (!is_message || !(2..=3).contains(&cut)).then(|| answer.body.clone())
        }),
    );
    let enclave = made_at(&proxy.url, MemoryStore::shared());
    for text in ["one", "two"] {
        let sent = enclave.commit("Message", &message(text)).expect("its fate is found out");
        assert!(sent.duplicate, "the receipt is that of the event which was found");
    }
    assert_eq!(enclave.query_all(&Filter::of_type("Message")).expect("read").len(), 2);
    let passed = proxy.passed();
    let sent = passed.iter().filter(|passed| passed.body.starts_with(br#"{"alg""#)).count();
    assert_eq!(sent, 3, "the Manifest and both commits went out once: the rest was asked for");
    assert!(passed.iter().all(|passed| passed.agent.starts_with("enc-client/")));
}

#[test]
fn a_lost_answer_to_a_manifest_is_asked_for_too() {
    let node = Running::start();
    let mut lost = false;
    let proxy = LyingProxy::start(
        &node.url,
        Box::new(move |_, answer| {
            let first = answer.line.starts_with("POST / ") && !lost;
            lost |= first;
            (!first).then(|| answer.body.clone())
        }),
    );
    let enclave = made_at(&proxy.url, MemoryStore::shared());
    assert_eq!(enclave.log(None).map(|page| page.expect("it is there").len()).sum::<usize>(), 1);
    let posted = proxy.passed().iter().filter(|passed| passed.body.starts_with(br#"{"alg""#)).count();
    assert_eq!(posted, 1, "the Manifest went out once");
}

#[test]
fn a_commit_of_unknown_fate_is_said_to_be_so() {
    let node = Running::start();
    let mut made_it = false;
    let proxy = LyingProxy::start(
        &node.url,
        Box::new(move |_, answer| {
            let posted = answer.line.starts_with("POST / ");
            let passes = !posted || !made_it;
            made_it |= posted;
            passes.then(|| answer.body.clone())
        }),
    );
    let enclave = made_at(&proxy.url, MemoryStore::shared());
    assert!(matches!(enclave.commit("Message", &message("?")), Err(Error::Undecided(_))));
}

/// What the SDK is asked in a row; each step's answers are changed by one byte in turn.
const STEPS: [(&str, fn(&Enclave) -> Result<(), Error>); 11] = [
    ("query", |enclave| enclave.query(&Filter::all()).map(drop)),
    ("commit", |enclave| enclave.commit("Message", &message("x")).map(drop)),
    ("sth", |enclave| enclave.sth().map(drop)),
    ("close_bundle", |enclave| enclave.close_bundle().map(drop)),
    ("prove_event", |enclave| {
        let receipt = enclave.pin().event().receipt();
        enclave.prove_event(&receipt).map(drop)
    }),
    ("prove_bundle", |enclave| {
        let receipt = enclave.pin().event().receipt();
        enclave.prove_bundle(&receipt).map(drop)
    }),
    ("prove_state", |enclave| enclave.prove_state(&StateName::Lifecycle).map(drop)),
    ("prove_states", |enclave| enclave.prove_states(&[StateName::Lifecycle, StateName::Gate("x")]).map(drop)),
    ("manifest", |enclave| {
        let served = enclave.manifest_again()?;
        if served.sequencer == enclave.sequencer() { Ok(()) } else { Err(Falsehood::OtherManifest.into()) }
    }),
    ("snapshot", |enclave| enclave.snapshot().map(drop)),
    ("audit", |enclave| enclave.audit(&mut |_, _| {}).map(drop)),
];

#[test]
fn one_changed_byte_anywhere_is_noticed_and_nothing_of_it_is_kept() {
    let node = Running::start();
    let lying = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let seed = Arc::clone(&lying);
    let proxy = LyingProxy::start(
        &node.url,
        Box::new(move |number, answer| {
            let mut body = answer.body.clone();
            let seed = seed.load(std::sync::atomic::Ordering::SeqCst);
            if seed > 0 && !body.is_empty() {
                let place = (seed * 7919 + number * 104_729) % body.len();
                body[place] ^= 1;
            }
            Some(body)
        }),
    );
    let store = MemoryStore::shared();
    let enclave = made_at(&proxy.url, Arc::clone(&store));
    for (name, step) in STEPS {
        step(&enclave).unwrap_or_else(|error| panic!("{name}, told the truth: {error}"));
        let before = store.sth(&enclave.id()).expect("kept");
        for seed in 1..=8 {
            lying.store(seed, std::sync::atomic::Ordering::SeqCst);
            let result = step(&enclave);
            lying.store(0, std::sync::atomic::Ordering::SeqCst);
            let refused = matches!(&result, Err(Error::False(_) | Error::Refused(_)));
            assert!(refused, "{name}, seed {seed}: {result:?}");
        }
        let after = store.sth(&enclave.id()).expect("kept");
        assert_eq!(before.map(|sth| sth.root_hash), after.map(|sth| sth.root_hash), "{name}");
        // Whatever was stored by a request whose answer was changed is there; the handle goes on.
        enclave.sth().unwrap_or_else(|error| panic!("after {name}: {error}"));
    }
}

/// What a node may do to a page of four messages, and what that is called.
const PAGE_LIES: [(&str, fn(&mut Vec<Json>), fn(&Falsehood) -> bool); 6] = [
    (
        "leaves out the first",
        |events| drop(events.remove(0)),
        |f| matches!(f, Falsehood::Gap { expected: 0, found: 1 }),
    ),
    ("leaves out one in between", |events| drop(events.remove(1)), |f| matches!(f, Falsehood::Gap { .. })),
    ("exchanges two", |events| events.swap(1, 2), |f| matches!(f, Falsehood::Gap { .. } | Falsehood::Order { .. })),
    ("repeats one", |events| events.insert(1, events[0].clone()), |f| matches!(f, Falsehood::Order { seq: 1 })),
    ("slips in another", |events| events.insert(0, Json::Null), |f| matches!(f, Falsehood::Unasked { seq: 0 })),
    ("goes on where it does not", |events| events.push(Json::Null), |f| matches!(f, Falsehood::Next)),
];

#[test]
fn pages_that_leave_out_repeat_or_reorder_are_refused() {
    let node = Running::start();
    let lie = Arc::new(std::sync::Mutex::new(None::<(fn(&mut Vec<Json>), Json)>));
    let told = Arc::clone(&lie);
    let proxy = LyingProxy::start(
        &node.url,
        Box::new(move |_, answer| {
            let Some((lie, other)) = told.lock().expect("no thread panicked").clone() else {
                return Some(answer.body.clone());
            };
            let Json::Object(mut members) = protocol::json::parse(&answer.body, 64).expect("JSON") else {
                panic!("a page is an object")
            };
            let Some((_, Json::Array(events))) = members.iter_mut().find(|(name, _)| name == "events") else {
                panic!("a page has events")
            };
            lie(events);
            // A gap in the list stands for the event that was not asked for, or, at its end, for a false `next`.
            let next = events.last() == Some(&Json::Null);
            events.retain(|event| *event != Json::Null || !next);
            events.iter_mut().filter(|event| **event == Json::Null).for_each(|event| *event = other.clone());
            if next {
                members.push(("next".into(), Json::from(1)));
            }
            Some(Json::object(members).to_jcs().into_bytes())
        }),
    );
    let enclave = made_at(&proxy.url, MemoryStore::shared());
    for text in ["one", "two", "three", "four"] {
        enclave.commit("Message", &message(text)).expect("sent");
    }
    for (name, change, expected) in PAGE_LIES {
        *lie.lock().expect("no thread panicked") = Some((change, enclave.pin().event().to_json()));
        let read = enclave.query(&Filter::of_type("Message"));
        *lie.lock().expect("no thread panicked") = None;
        let Err(Error::False(falsehood)) = read else { panic!("{name}: {read:?}") };
        assert!(expected(&falsehood), "{name}: {falsehood}");
    }
    assert_eq!(enclave.query_all(&Filter::of_type("Message")).expect("read").len(), 4);
}

#[test]
fn a_log_that_shrinks_is_noticed_at_the_next_visit() {
    let node = Running::start();
    let recorded = Arc::new(std::sync::Mutex::new(Vec::new()));
    let replayed = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (record, replay) = (Arc::clone(&recorded), Arc::clone(&replayed));
    let proxy = LyingProxy::start(
        &node.url,
        Box::new(move |_, answer| {
            if !answer.line.contains("/sth ") {
                return Some(answer.body.clone());
            }
            let mut heads = record.lock().expect("no thread panicked");
            heads.push(answer.body.clone());
            let shown = if replay.load(std::sync::atomic::Ordering::SeqCst) { heads.first() } else { heads.last() };
            shown.cloned()
        }),
    );
    let folder = std::env::temp_dir().join(format!("enc-client-{}-shrinks", std::process::id()));
    let enclave = made_at(&proxy.url, Arc::new(FolderStore::new(&folder)));
    enclave.close_bundle().expect("the owner may");
    enclave.sth().expect("of one entry");
    enclave.commit("Message", &message("x")).expect("sent");
    enclave.close_bundle().expect("the owner may");
    enclave.sth().expect("of two entries");
    replayed.store(true, std::sync::atomic::Ordering::SeqCst);
    // Another process, later: all it has is the folder.
    let store = Arc::new(FolderStore::new(&folder));
    let node = Node::at(&proxy.url).expect("an address");
    let visit = Enclave::open(&node, enclave.id(), None, store).expect("it is pinned");
    let falsehood = Falsehood::SmallerTree { kept: 2, shown: 1 };
    assert!(matches!(visit.sth(), Err(Error::False(found)) if found == falsehood));
    std::fs::remove_dir_all(&folder).expect("the folder goes");
}

#[test]
fn two_heads_of_one_size_are_kept_as_evidence_that_anyone_verifies() {
    let node = Running::start();
    let key = node.node_key();
    let lying = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let lie = Arc::clone(&lying);
    let proxy = LyingProxy::start(
        &node.url,
        Box::new(move |_, answer| {
            if !answer.line.contains("/sth ") || !lie.load(std::sync::atomic::Ordering::SeqCst) {
                return Some(answer.body.clone());
            }
            let value = protocol::json::parse(&answer.body, 64).expect("JSON");
            let sth = Sth::from_json(value).expect("a head");
            let forged = Sth::sign(&key, sth.enclave, sth.timestamp, sth.tree_size, [7; 32]);
            Some(forged.to_json().to_jcs().into_bytes())
        }),
    );
    let store = Arc::new(MemoryStore::default());
    let enclave = made_at(&proxy.url, Arc::clone(&store) as Arc<dyn Store>);
    enclave.close_bundle().expect("the owner may");
    let honest = enclave.sth().expect("of one entry");
    lying.store(true, std::sync::atomic::Ordering::SeqCst);
    let falsehood = Falsehood::Equivocation { at: 1 };
    assert!(matches!(enclave.sth(), Err(Error::False(found)) if found == falsehood));
    assert_eq!(store.sth(&enclave.id()).expect("kept"), Some(*honest.sth.sth()), "the first one stays");
    let evidence = store.evidence(&enclave.id()).pop().expect("it is kept");
    let proven = protocol::evidence::verify(evidence).expect("it holds");
    assert_eq!((proven.enclave, proven.sequencer), (enclave.id(), enclave.sequencer()));
}

#[test]
fn two_receipts_for_one_place_are_kept_as_evidence() {
    let node = Running::start();
    let key = node.node_key();
    let store = Arc::new(MemoryStore::default());
    let enclave = made_at(&node.url, Arc::clone(&store) as Arc<dyn Store>);
    // Another commit was promised seq 1 before.
    let me = identity();
    let other = enclave.draft("Message", &message("promised")).sign(me.key()).into_commit();
    let position = Position {
        seq: 1,
        type_seq: 0,
        timestamp: enclave.node().now(),
        prev: enclave.pin().event().event_hash(),
        sequencer: key.public(),
    };
    store.keep_receipt(&Event::sequence(other, position, &key).receipt()).expect("kept");
    let falsehood = Falsehood::Equivocation { at: 1 };
    let sent = enclave.commit("Message", &message("x"));
    assert!(matches!(sent, Err(Error::False(found)) if found == falsehood));
    let evidence = store.evidence(&enclave.id()).pop().expect("it is kept");
    assert!(protocol::evidence::verify(evidence).is_ok());
}

#[test]
fn a_receipt_that_is_not_honoured_is_found_at_the_next_visit() {
    let node = Running::start();
    let key = node.node_key();
    let store = MemoryStore::shared();
    let enclave = made_at(&node.url, Arc::clone(&store));
    enclave.commit("Message", &message("kept")).expect("sent");
    enclave.close_bundle().expect("the owner may");
    assert!(enclave.check_newest_receipt().expect("nothing is due").is_none());
    // Two hours ago another commit was promised the place that this one has.
    let other = enclave.draft("Message", &message("promised")).sign(identity().key()).into_commit();
    let kept = enclave.query_all(&Filter::of_type("Message")).expect("read")[0].position;
    let position = Position { timestamp: kept.timestamp - TWO_HOURS_MS, ..kept };
    store.keep_receipt(&Event::sequence(other, position, &key).receipt()).expect("kept");
    let falsehood = Falsehood::Dropped { seq: 1 };
    let visit = enclave.check_newest_receipt();
    assert!(matches!(&visit, Err(Error::False(found)) if *found == falsehood), "{visit:?}");
}

#[test]
fn a_receipt_whose_bundle_never_closes_is_overdue() {
    let node = Running::start();
    let owner = template_at(&node.url, Template::Personal, MemoryStore::shared());
    let sent = owner.commit("public", &message("x")).expect("sent");
    // Anyone may read it, so that no session ties the visitor's clock to the node's.
    let at = Node::at(&node.url).expect("an address");
    let later = at.now() + TWO_HOURS_MS;
    let (node, store) = (at.with_clock(move || later), MemoryStore::shared());
    store.keep_receipt(&sent.receipt).expect("kept");
    let visitor = Enclave::open(&node, owner.id(), None, store).expect("it is pinned");
    let falsehood = Falsehood::Overdue { seq: 1 };
    let visit = visitor.check_newest_receipt();
    assert!(matches!(&visit, Err(Error::False(found)) if *found == falsehood), "{visit:?}");
    owner.close_bundle().expect("the owner may");
    assert!(visitor.check_newest_receipt().expect("it is in the log").is_some());
}

#[test]
fn proof_files_hold_offline_and_no_changed_one_does() {
    let node = Running::start();
    let enclave = made(&node);
    let sent = enclave.commit("Message", &message("x")).expect("sent");
    let older = enclave.close_bundle().expect("the owner may");
    enclave.commit("Message", &message("y")).expect("sent");
    let newer = enclave.close_bundle().expect("the owner may");
    let me = enclave.me().expect("an identity");
    let names = vec![Name::Identity(me), Name::Lifecycle];
    let event = Box::new(sent.event);
    let state_names: Vec<_> = names.iter().map(Name::state_name).collect();
    let (bundle, entry) = enclave.prove_bundle(&sent.receipt).expect("proved");
    let proofs = [
        Proof::Event(event.clone(), Box::new(enclave.prove_event(&sent.receipt).expect("proved").answer)),
        Proof::Bundle(event, Box::new(bundle), Box::new(entry)),
        Proof::State(names.clone(), Box::new(enclave.prove_states(&state_names).expect("proved").answer)),
        Proof::Log(
            Box::new(*older.sth.sth()),
            Box::new(*newer.sth.sth()),
            enclave.prove_consistency(&older.sth, &newer.sth).expect("proved"),
        ),
    ];
    for proof in proofs {
        let text = ProofFile { pin: enclave.pin(), proof }.to_json().to_jcs();
        let (file, proved) = verify_file(text.as_bytes()).expect("it holds");
        assert_eq!(file.pin.enclave(), enclave.id());
        if let Proved::Event { tree_size, .. } = proved {
            assert_eq!(tree_size, 2);
        }
        for place in (0..text.len()).step_by(61) {
            let mut changed = text.clone().into_bytes();
            changed[place] ^= 1;
            assert!(verify_file(&changed).is_err(), "bit 0 of byte {place} of {text}");
        }
    }
}

#[test]
fn a_watch_brings_history_then_the_present_and_survives_a_drop() {
    let node = Running::start();
    let enclave = made(&node);
    enclave.commit("Message", &message("before")).expect("sent");
    let mut watch = enclave.watch(&Filter::of_type("Message"));
    let mut seen = Vec::new();
    let mut next = |watch: &mut client::watch::Watch<'_>| match watch.next().expect("it holds") {
        Seen::Event(event) => {
            seen.push(event.position.seq);
            true
        }
        Seen::CaughtUp => false,
        other => panic!("{other:?}"),
    };
    assert!(next(&mut watch), "history");
    assert!(!next(&mut watch), "its end");
    enclave.commit("Message", &message("now")).expect("sent");
    assert!(next(&mut watch), "the present");
    watch.drop_connection();
    enclave.commit("Message", &message("while away")).expect("sent");
    assert!(next(&mut watch), "what was missed");
    assert_eq!(seen, [1, 2, 3]);
}

#[test]
fn the_example_commits_and_verifies() {
    let node = Running::start();
    let mut example = std::env::current_exe().expect("this program");
    example.pop();
    example.pop();
    let program = example.join("examples").join("commit_and_verify");
    let output = std::process::Command::new(program).arg(&node.url).output().expect("cargo test builds examples");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains(" is entry 0 of "));
}
