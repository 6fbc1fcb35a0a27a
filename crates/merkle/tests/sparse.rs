//! The state tree against a plain recursive model of enc.md section 5, for any sequence of writes.

#[path = "stores/pages.rs"]
mod pages;

use std::collections::{BTreeMap, BTreeSet};

use merkle::sparse::{
    Error, Page, PageError, PageId, Proof, Slot, StateKey, StatePath, get, leaf_at, prove, root, verify,
};
use merkle::{Hash, ProofError};
use pages::MemoryPages;
use proptest::collection::vec;
use proptest::prelude::*;
use sha2::{Digest, Sha256};

type Leaves = BTreeMap<StatePath, Hash>;

fn empty() -> Hash {
    Sha256::digest([]).into()
}

/// H of enc.md section 1 for a prefix of two CBOR bytes (0x18..=0xff) and byte strings.
fn h(prefix: u8, fields: &[&[u8]]) -> Hash {
    let mut cbor = vec![0x81 + fields.len() as u8, 0x18, prefix];
    for field in fields {
        match field.len() {
            short @ ..24 => cbor.push(0x40 + short as u8),
            long => cbor.extend([0x58, long as u8]),
        }
        cbor.extend_from_slice(field);
    }
    Sha256::digest(cbor).into()
}

fn bit(path: &StatePath, at: usize) -> bool {
    path[at / 8] >> (7 - at % 8) & 1 == 1
}

/// The hash of the subtree at depth `at` that holds exactly these leaves.
fn model_hash(leaves: &[(StatePath, Hash)], at: usize) -> Hash {
    if leaves.is_empty() {
        return empty();
    }
    if at == 168 {
        let [(path, value)] = leaves else { panic!("two leaves with one path") };
        return h(0x20, &[path, value]);
    }
    let (right, left): (Vec<_>, Vec<_>) = leaves.iter().partition(|(path, _)| bit(path, at));
    let (left, right) = (model_hash(&left, at + 1), model_hash(&right, at + 1));
    h(0x21, &[&left, &right])
}

fn model_root(leaves: &Leaves) -> Hash {
    model_hash(&leaves.clone().into_iter().collect::<Vec<_>>(), 0)
}

fn model_proof(leaves: &Leaves, path: &StatePath) -> Proof {
    let mut proof = Proof { key: *path, value: leaves.get(path).copied(), bitmap: [0; 21], siblings: Vec::new() };
    let mut here: Vec<(StatePath, Hash)> = leaves.clone().into_iter().collect();
    for at in 0..168 {
        let (with, beside): (Vec<_>, Vec<_>) = here.into_iter().partition(|(other, _)| bit(other, at) == bit(path, at));
        let sibling = model_hash(&beside, at + 1);
        if sibling != empty() {
            proof.bitmap[at / 8] |= 0x80 >> (at % 8);
            proof.siblings.push(sibling);
        }
        here = with;
    }
    proof
}

/// The ids of the pages that these leaves have: every prefix that two of them share, and the root.
fn model_pages(leaves: &Leaves) -> BTreeSet<Vec<u8>> {
    let hex = |path: &StatePath| path.map(|byte| format!("{byte:02x}")).concat();
    let mut counts = BTreeMap::new();
    for path in leaves.keys() {
        for len in 0..=41 {
            *counts.entry(hex(path)[..len].to_owned()).or_insert(0) += 1;
        }
    }
    let shared = counts.into_iter().filter(|(prefix, count)| prefix.is_empty() || *count > 1);
    shared.map(|(prefix, _)| page_id(&prefix)).collect()
}

fn page_id(prefix: &str) -> Vec<u8> {
    let digits: Vec<u8> = prefix.chars().map(|digit| digit.to_digit(16).expect("hex") as u8).collect();
    let packed = digits.chunks(2).map(|pair| pair[0] << 4 | pair.get(1).unwrap_or(&0));
    [digits.len() as u8].into_iter().chain(packed).collect()
}

/// Three unrelated paths, and each of them with one bit flipped, at every depth.
fn any_key() -> impl Strategy<Value = StateKey> {
    let depth = prop_oneof![Just(None), (0usize..168).prop_map(Some), (164usize..168).prop_map(Some)];
    (0u8..3, depth, 0u8..2).prop_map(|(base, flip, namespace)| {
        let mut key = StateKey::new(namespace, &[base]);
        if let Some(at) = flip {
            key.path[at / 8] ^= 0x80 >> (at % 8);
        }
        key
    })
}

fn any_write() -> impl Strategy<Value = (StateKey, Option<Hash>)> {
    (any_key(), prop_oneof![2 => (0u8..3).prop_map(|byte| Some([byte; 32])), 1 => Just(None)])
}

fn apply_to_model(leaves: &mut Leaves, writes: &[(StateKey, Option<Hash>)]) {
    for (key, value) in writes {
        match value {
            Some(value) => leaves.insert(key.path, *value),
            None => leaves.remove(&key.path),
        };
    }
}

fn check_against_model(pages: &MemoryPages, leaves: &Leaves) {
    let expected = model_root(leaves);
    assert_eq!(root(pages), Ok(expected));
    let ids = if leaves.is_empty() { BTreeSet::new() } else { model_pages(leaves) };
    assert_eq!(pages.rows.keys().cloned().collect::<BTreeSet<_>>(), ids);
    let mut fresh = MemoryPages::default();
    let backwards: Vec<_> = leaves
        .iter()
        .rev()
        .map(|(path, value)| (StateKey { path: *path, rest: rest_of(path) }, Some(*value)))
        .collect();
    let done = fresh.apply(&backwards).expect("an empty store takes any leaves");
    assert_eq!(done.root, expected);
    assert!(fresh.rows == pages.rows, "one set of leaves, two sets of pages");
}

/// The rest of the keys that [`any_key`] makes: that of the base is kept, so it follows from the path.
fn rest_of(path: &StatePath) -> [u8; 12] {
    let near = |base: &u8| {
        let own = StateKey::new(path[0], &[*base]).path;
        own[1..].iter().zip(&path[1..]).map(|(a, b)| (a ^ b).count_ones()).sum::<u32>() < 2
    };
    let base = (0u8..3).find(near).expect("a path is near its base");
    StateKey::new(0, &[base]).rest
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_writes_lead_to_the_tree_of_the_model(batches in vec(vec(any_write(), 0..8), 1..8)) {
        let (mut pages, mut leaves) = (MemoryPages::default(), Leaves::new());
        for writes in &batches {
            let done = pages.apply(writes).expect("no collisions");
            apply_to_model(&mut leaves, writes);
            prop_assert_eq!(done.root, model_root(&leaves));
            check_against_model(&pages, &leaves);
        }
        for (key, _) in batches.iter().flatten() {
            prop_assert_eq!(get(&pages, key), Ok(leaves.get(&key.path).copied()));
        }
        let clear: Vec<_> = batches.iter().flatten().map(|(key, _)| (*key, None)).collect();
        let done = pages.apply(&clear).expect("no collisions");
        prop_assert_eq!(done.root, empty());
        prop_assert!(pages.rows.is_empty());
    }

    #[test]
    fn proofs_are_those_of_the_model(writes in vec(any_write(), 0..24), asked in vec(any_key(), 1..8)) {
        let (mut pages, mut leaves) = (MemoryPages::default(), Leaves::new());
        let root = pages.apply(&writes).expect("no collisions").root;
        apply_to_model(&mut leaves, &writes);
        for key in writes.iter().map(|(key, _)| key).chain(&asked) {
            let proof = prove(&pages, key).expect("no collisions");
            prop_assert_eq!(&proof, &model_proof(&leaves, &key.path));
            prop_assert_eq!(verify(&proof, &key.path, &root), Ok(()));
        }
        for key in &asked {
            refuse_altered(&prove(&pages, key).expect("no collisions"), &root);
        }
    }

    #[test]
    fn no_bytes_are_read_as_another_page(at in 0usize..5000, byte: u8, row in 0usize..1000, cut in 0usize..200) {
        let pages = counted_tree(60);
        let (id, row) = pages.rows.iter().nth(row % pages.rows.len()).expect("not empty");
        let id = PageId::decode(id).expect("an id");
        let mut bytes = row.clone();
        // Most of a row are hashes and keys; half of the changes go into its head.
        let at = if at % 2 == 0 { at / 2 % 5 } else { at / 2 % bytes.len() };
        bytes[at] = byte;
        bytes.truncate(bytes.len() - cut.saturating_sub(150).min(bytes.len()));
        if let Ok(page) = Page::decode(&id, &bytes) {
            prop_assert_eq!(page.encode(), bytes);
        }
    }
}

fn refuse_altered(proof: &Proof, root: &Hash) {
    let judge = |proof: &Proof| verify(proof, &proof.key, root);
    let values = [None, Some([0; 32]), Some([9; 32]), Some(empty())];
    for value in values.into_iter().filter(|value| *value != proof.value) {
        assert_eq!(judge(&Proof { value, ..proof.clone() }), Err(ProofError::WrongRoot));
    }
    for at in 0..168 {
        let mut bitmap = proof.bitmap;
        bitmap[at / 8] ^= 0x80 >> (at % 8);
        let altered = Proof { bitmap, ..proof.clone() };
        assert_eq!(judge(&altered), Err(ProofError::WrongLength), "bit {at}");
    }
    for at in 0..proof.siblings.len() {
        let mut altered = proof.clone();
        altered.siblings[at][5] ^= 4;
        assert_eq!(judge(&altered), Err(ProofError::WrongRoot));
        altered.siblings[at] = empty();
        assert_eq!(judge(&altered), Err(ProofError::ExplicitEmpty));
        altered.siblings.remove(at);
        assert_eq!(judge(&altered), Err(ProofError::WrongLength));
    }
    let mut altered = proof.clone();
    altered.siblings.push([3; 32]);
    assert_eq!(judge(&altered), Err(ProofError::WrongLength));
    altered.key[20] ^= 1;
    assert_eq!(verify(&altered, &proof.key, root), Err(ProofError::WrongKey));
    assert_eq!(verify(proof, &proof.key, &[1; 32]), Err(ProofError::WrongRoot));
}

#[test]
fn an_empty_sibling_is_not_to_be_spelled_out_even_where_the_bitmap_says_so() {
    let key = StateKey::new(2, b"alone");
    let mut pages = MemoryPages::default();
    let root = pages.apply(&[(key, Some([1; 32]))]).expect("an empty store").root;
    let mut proof = prove(&pages, &key).expect("pages are there");
    assert!(proof.siblings.is_empty());
    proof.bitmap[0] = 1;
    proof.siblings.push(empty());
    assert_eq!(verify(&proof, &key.path, &root), Err(ProofError::ExplicitEmpty));
}

#[test]
fn a_path_held_by_another_raw_key_is_a_collision() {
    let key = StateKey::new(2, b"one");
    let mut other = key;
    other.rest[0] ^= 1;
    let mut pages = MemoryPages::default();
    pages.apply(&[(key, Some([1; 32]))]).expect("an empty store");
    let rows = pages.rows.clone();
    for writes in [
        vec![(other, Some([1; 32]))],
        vec![(other, None)],
        vec![(StateKey::new(0, b"x"), Some([2; 32])), (other, Some([1; 32]))],
    ] {
        assert_eq!(pages.apply(&writes), Err(Error::Collision));
        assert_eq!(pages.rows, rows);
    }
    assert_eq!(get(&pages, &other), Ok(None));
    assert_eq!(leaf_at(&pages, &other.path), Ok(Some((key, [1; 32]))));
    let mut beside = key.path;
    beside[20] ^= 1;
    assert_eq!(leaf_at(&pages, &beside), Ok(None));
    assert_eq!(prove(&pages, &other), Err(Error::Collision));
    // Writes are applied in their order: once the path is free, the other raw key may take it.
    pages.apply(&[(key, None), (other, Some([1; 32]))]).expect("the path is free");
    assert_eq!((get(&pages, &key), get(&pages, &other)), (Ok(None), Ok(Some([1; 32]))));
}

#[test]
fn last_bit_siblings_make_a_chain_of_pages_and_leave_none_behind() {
    let key = StateKey::new(0, b"");
    let mut twin = key;
    twin.path[20] ^= 1;
    let mut pages = MemoryPages::default();
    pages.apply(&[(key, Some([1; 32]))]).expect("an empty store");
    assert_eq!(pages.rows.len(), 1);
    let one_leaf = pages.rows.clone();
    pages.apply(&[(twin, Some([2; 32]))]).expect("another path");
    assert_eq!(pages.rows.len(), 42);
    assert_eq!(prove(&pages, &twin).map(|proof| proof.siblings.len()), Ok(1));
    pages.apply(&[(twin, None)]).expect("it is there");
    assert_eq!(pages.rows, one_leaf);
}

#[test]
fn writes_without_effect_change_no_page() {
    let (held, absent) = (StateKey::new(2, b"held"), StateKey::new(2, b"absent"));
    let mut pages = MemoryPages::default();
    let before = pages.apply(&[(held, Some([1; 32]))]).expect("an empty store").root;
    for writes in [vec![], vec![(held, Some([1; 32]))], vec![(absent, None)]] {
        let done = pages.apply(&writes).expect("pages are there");
        assert_eq!((done.pages.len(), done.root), (0, before));
    }
    let in_and_out = pages.apply(&[(absent, Some([2; 32])), (absent, None)]).expect("pages are there");
    assert_eq!(in_and_out.root, before);
    assert_eq!(pages.rows.len(), 1);
}

fn counted_tree(count: u32) -> MemoryPages {
    let mut pages = MemoryPages::default();
    let writes: Vec<_> = (0..count).map(|at| (StateKey::new(2, &at.to_be_bytes()), Some([1; 32]))).collect();
    pages.apply(&writes).expect("an empty store");
    pages
}

#[test]
fn one_write_touches_the_pages_on_its_way_only() {
    let mut pages = counted_tree(1500);
    for at in 0..1500u32 {
        let key = StateKey::new(2, &at.to_be_bytes());
        let hex = key.path.map(|byte| format!("{byte:02x}")).concat();
        let way: Vec<_> =
            (0..=41).map(|len| page_id(&hex[..len])).take_while(|id| pages.rows.contains_key(id)).collect();
        pages.reads.set(0);
        let done = pages.apply(&[(key, Some([2; 32]))]).expect("pages are there");
        assert_eq!(pages.reads.get(), way.len(), "key {at}");
        assert_eq!(done.pages.iter().map(|(id, _)| id.encode()).collect::<Vec<_>>(), way);
    }
    assert_eq!(root(&pages), Ok(model_root(&leaves_of(&pages))));
}

fn leaves_of(pages: &MemoryPages) -> Leaves {
    let mut leaves = Leaves::new();
    for (id, row) in &pages.rows {
        let page = Page::decode(&PageId::decode(id).expect("an id"), row).expect("a page");
        for nibble in 0..16 {
            match page.slot(nibble) {
                Slot::Leaf { key, value, .. } => assert!(leaves.insert(key.path, *value).is_none()),
                Slot::Empty | Slot::Subtree(_) => {}
            }
        }
    }
    leaves
}

#[test]
fn a_lost_page_is_an_error_and_not_an_absence() {
    let whole = counted_tree(40);
    let paths: Vec<StateKey> = (0..40u32).map(|at| StateKey::new(2, &at.to_be_bytes())).collect();
    for (id, _) in whole.rows.iter().skip(1) {
        let mut pages = MemoryPages { rows: whole.rows.clone(), ..MemoryPages::default() };
        pages.rows.remove(id);
        let lost = PageId::decode(id).expect("an id");
        let below = |key: &&StateKey| get(&whole, key).is_ok() && get(&pages, key).is_err();
        let key = paths.iter().find(below).expect("every page has leaves below it");
        assert_eq!(get(&pages, key), Err(Error::Missing(lost)));
        assert_eq!(prove(&pages, key), Err(Error::Missing(lost)));
        assert_eq!(pages.apply(&[(*key, None)]), Err(Error::Missing(lost)));
    }
}

#[test]
fn page_ids_are_ordered_as_their_bytes() {
    let texts = ["", "0", "1", "f", "00", "01", "10", "0123456789abcdef0123456789abcdef012345678"];
    let rows: Vec<Vec<u8>> = texts.iter().map(|text| page_id(text)).collect();
    let ids: Vec<PageId> = rows.iter().map(|row| PageId::decode(row).expect("an id")).collect();
    assert!(rows.is_sorted() && ids.is_sorted());
    for ((id, row), text) in ids.iter().zip(&rows).zip(texts) {
        assert_eq!((id.encode(), id.nibbles(), id.to_string()), (row.clone(), text.len(), format!("/{text}")));
    }
}

#[test]
fn other_bytes_are_no_page_id() {
    for (bytes, error) in [
        (&[][..], PageError::Length),
        (&[0, 0], PageError::Length),
        (&[1], PageError::Length),
        (&[2, 0x12, 0x30], PageError::Length),
        (&[&[42][..], &[0; 21]].concat(), PageError::Length),
        (&[1, 0x12], PageError::Place),
    ] {
        assert_eq!(PageId::decode(bytes), Err(error), "{bytes:?}");
    }
}

#[test]
fn other_bytes_are_no_page() {
    let id = |text: &str| PageId::decode(&page_id(text)).expect("an id");
    let leaf = |path: [u8; 2]| [&path[..], &[0; 19 + 12 + 32 + 32]].concat();
    let page = |used: u16, subtrees: u16, body: &[&[u8]]| {
        [&[1], &used.to_be_bytes()[..], &subtrees.to_be_bytes(), &body.concat()].concat()
    };
    let two = [leaf([0x02, 0]), leaf([0x03, 0])];
    let body: &[&[u8]] = &[&two[0], &two[1]];
    let good = page(0b1100, 0, body);
    assert!(Page::decode(&id("0"), &good).is_ok());
    let root_of_one = page(1, 0, &[&leaf([0, 0])]);
    assert!(Page::decode(&PageId::ROOT, &root_of_one).is_ok());
    let deepest = "0".repeat(41);
    for (place, bytes, error) in [
        ("0", vec![], PageError::Length),
        ("0", good[..good.len() - 1].to_vec(), PageError::Length),
        ("0", [&good[..], &[0]].concat(), PageError::Length),
        ("0", [&[2], &good[1..]].concat(), PageError::Format),
        ("0", page(0b0100, 0b1000, body), PageError::Slots),
        (&deepest, page(3, 2, &[&[0; 97], &[0; 32]]), PageError::Slots),
        ("0", page(0b0100, 0, &[&two[0]]), PageError::Sparse),
        ("", page(0, 0, &[]), PageError::Sparse),
        ("0", page(0b1010, 0, body), PageError::Place),
        ("1", good.clone(), PageError::Place),
        ("00", page(1, 0, &[&leaf([0x02, 0])]), PageError::Sparse),
        ("00", page(0b11, 0, &[&leaf([0, 0]), &leaf([0x10, 0x10])]), PageError::Place),
    ] {
        assert_eq!(Page::decode(&id(place), &bytes), Err(error), "{place}: {bytes:?}");
    }
}

#[test]
fn every_truncated_or_lengthened_page_is_refused() {
    for (id, row) in &counted_tree(60).rows {
        let id = PageId::decode(id).expect("an id");
        let page = Page::decode(&id, row).expect("a page");
        assert_eq!(&page.encode(), row);
        for end in 0..row.len() {
            assert!(Page::decode(&id, &row[..end]).is_err());
        }
        assert!(Page::decode(&id, &[&row[..], &[0]].concat()).is_err());
    }
}
