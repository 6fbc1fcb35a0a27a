//! When bundles close, and what they become.

use crate::world::*;
use kernel::close;
use protocol::EventId;
use protocol::entry::state_commit;

fn world(size: u32, timeout: u32) -> World {
    World::new(&format!(
        r#"{{"enc_v":2,"sequencer":"SEQ","bundle":{{"size":{size},"timeout":{timeout}}},"RBAC":{{"states":["MEMBER"],
            "customs":[{{"event":"message","operator":"MEMBER","ops":["C"]}}],
            "init":[{{"identity":"@alice","state":"MEMBER","traits":[]}}]}}}}"#
    ))
}

fn cuts(world: &World) -> Vec<(u64, u64)> {
    world.entries.iter().map(|entry| (entry.first_seq, entry.count)).collect()
}

#[test]
fn a_full_bundle_closes_with_its_last_event() {
    for size in 1..=5 {
        let mut world = world(size, 3_600_000);
        for _ in 0..10 {
            world.now += 10;
            world.run("alice message -> ok");
            let events = world.events.len() as u64;
            assert_eq!(world.head.tree_size, events / u64::from(size));
            assert_eq!(world.head.open.map_or(0, |open| open.count), events % u64::from(size));
            assert_eq!(world.last.close, events.is_multiple_of(u64::from(size)));
        }
        let expected: Vec<_> =
            (0..11 / u64::from(size)).map(|index| (index * u64::from(size), u64::from(size))).collect();
        assert_eq!(cuts(&world), expected);
        let last = world.entries.last().expect("one");
        let closing = &world.events[(last.first_seq + last.count - 1) as usize];
        assert_eq!(
            world.heads.last(),
            Some(&closing.position.timestamp),
            "the time of a full bundle is its last event's"
        );
    }
}

#[test]
fn what_is_due_is_closed_as_of_due() {
    let mut world = world(256, 1000);
    assert_eq!(world.head.due(world.manifest.bundle), Some(START + 1000));
    world.now = START + 999;
    world.run("alice message -> ok");
    assert_eq!(cuts(&world), []);
    world.now = START + 5000;
    world.run("alice message -> ok");
    assert_eq!(cuts(&world), [(0, 2)]);
    assert_eq!(world.heads, [START, START + 1000]);
    assert_eq!(world.head.due(world.manifest.bundle), Some(START + 6000), "counted from the first event of the next");
    world.close_due(START + 5999);
    assert_eq!(cuts(&world), [(0, 2)]);
    world.close_due(START + 6000);
    assert_eq!(cuts(&world), [(0, 2), (2, 1)]);
    assert_eq!(world.head.due(world.manifest.bundle), None, "nothing is open");
}

#[test]
fn a_refused_commit_closes_what_is_due_and_nothing_else() {
    let mut world = world(256, 1000);
    world.now = START + 1000;
    world.run("bob message -> unauthorized");
    assert_eq!(cuts(&world), [(0, 1)]);
    assert_eq!((world.head.next_seq, world.head.open), (1, None));
}

#[test]
fn an_entry_commits_to_its_ids_and_to_the_state_after_its_last_event() {
    let mut world = world(3, 1000);
    world.run("alice message -> ok \n alice message -> ok");
    let entry = world.entries[0];
    let ids: Vec<_> = world.events.iter().map(|event| event.id.0).collect();
    assert_eq!(entry.events_root, merkle::bundle::root(&ids));
    assert_eq!(entry.state_commit, state_commit(&world.events[2].event_hash(), &world.state_root()));
    assert_eq!((world.head.tree_size, world.head.root), (1, entry.leaf_hash()));
}

#[test]
fn a_tree_head_is_never_older_than_the_one_before() {
    let world = world(4, 1000);
    let ids = [world.events[0].id];
    let at = |at, previous| close(&mut world.head.clone(), &ids, &world.state_root(), at, previous).timestamp;
    assert_eq!(at(START + 500, START), START + 500);
    assert_eq!(at(START + 500, START + 900), START + 900);
}

#[test]
#[should_panic(expected = "counts the events")]
fn ids_that_contradict_the_head_are_no_bundle() {
    let mut world = world(4, 1000);
    let ids: [EventId; 2] = [world.events[0].id; 2];
    close(&mut world.head, &ids, &[0; 32], START, START);
}
