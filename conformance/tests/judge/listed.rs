//! Names are unique and stable in form, and the numbers in the documents are the program's.

use crate::defects::DEFECTS;
use conformance::judge::{CHECKS, Check, select};
use std::collections::BTreeSet;

const README: &str = include_str!("../../README.md");

fn all() -> Vec<&'static Check> {
    select(&[]).expect("no name, no unknown name")
}

#[test]
fn each_check_has_a_name_of_its_own_a_section_and_a_demand() {
    let names: BTreeSet<&str> = all().iter().map(|check| check.name).collect();
    assert_eq!(names.len(), all().len(), "no name twice");
    assert!(names.len() >= 150);
    for check in all() {
        let (group, rest) = check.name.split_once('.').expect("group.what");
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        assert!(plain(group) && plain(rest) && !rest.is_empty(), "{}", check.name);
        let document = check.section.split(' ').next().expect("a document");
        assert!(["enc.md", "services.md", "c2sp"].contains(&document), "{}: {}", check.name, check.section);
        assert!(check.demand.ends_with('.') || check.demand.ends_with('-'), "{}: a sentence", check.name);
    }
    assert!(select(&["no such check".into()]).is_err());
}

#[test]
fn the_readme_counts_what_the_program_lists() {
    let count = format!("{} checks in {} tables", all().len(), CHECKS.len());
    assert!(README.contains(&count), "README: {count}");
    let defects = format!("{} deliberate defects", DEFECTS.len());
    assert!(README.contains(&defects), "README: {defects}");
    assert!(DEFECTS.len() >= 20);
    for defect in DEFECTS {
        let row = format!("| `{}` | {} | `{}` |", defect.name, defect.what, defect.caught_by.join("` `"));
        assert!(README.contains(&row), "README: {row}");
    }
}
