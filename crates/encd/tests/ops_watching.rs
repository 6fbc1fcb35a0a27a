//! The files for those who watch a node: whatever they ask for, a node tells; and a node tells nothing that they leave out.

use encd::metrics::Metrics;
use std::collections::BTreeSet;

const RULES: &str = include_str!("../../../docs/examples/alerts.yml");
const RULES_TEST: &str = include_str!("../../../docs/examples/alerts-test.yml");
const DASHBOARD: &str = include_str!("../../../docs/examples/dashboard.json");
const OPERATING: &str = include_str!("../../../docs/operations.md");

/// Names of metrics in a text.
fn names(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices("encd_") {
        let name: String = text[at..].chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
        names.insert(name);
    }
    names
}

/// What a node tells that asks a witness.
fn rendered() -> String {
    let metrics = Metrics::default();
    metrics.witnesses().note("w", "heads", (0, true));
    metrics.render()
}

/// Names of samples, as a query may use them, and names of families.
fn told() -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut samples, mut families) = (BTreeSet::new(), BTreeSet::new());
    let text = rendered();
    for line in text.lines() {
        match line.strip_prefix("# TYPE ") {
            Some(rest) => families.insert(rest.split(' ').next().expect("a name").to_owned()),
            None if line.starts_with('#') => continue,
            None => samples.insert(line.split(['{', ' ']).next().expect("a name").to_owned()),
        };
    }
    (samples, families)
}

/// The lowercase words that stand after `label="`.
fn values<'a>(text: &'a str, label: &str) -> BTreeSet<&'a str> {
    let begin = format!("{label}=\"");
    text.split(&begin).skip(1).map(|rest| rest.split('"').next().expect("a value")).collect()
}

#[test]
fn what_is_asked_for_is_told() {
    let (samples, families) = told();
    assert!(samples.len() > 15 && families.len() > 15);
    for (file, text) in [("alerts.yml", RULES), ("alerts-test.yml", RULES_TEST), ("dashboard.json", DASHBOARD)] {
        let asked = names(text);
        assert!(!asked.is_empty(), "{file} asks for nothing");
        for name in asked {
            assert!(samples.contains(&name), "{file}: no node tells {name}");
        }
    }
    let all = rendered();
    for (label, text) in [("code", RULES), ("end", RULES), ("code", RULES_TEST)] {
        for value in values(text, label) {
            assert!(all.contains(&format!("{{{label}=\"{value}\"}}")), "no node tells {label}={value}");
        }
    }
}

#[test]
fn what_is_told_is_shown() {
    let shown = names(DASHBOARD);
    for family in told().1 {
        let seen = [family.clone(), format!("{family}_bucket")].iter().any(|name| shown.contains(name));
        assert!(seen, "the dashboard leaves {family} out");
    }
}

#[test]
fn the_dashboard_is_one() {
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64()), "two panels have one id");
        assert!(panel["targets"].as_array().is_some_and(|targets| !targets.is_empty()), "{}", panel["title"]);
    }
}

#[test]
fn every_alert_is_explained() {
    let alerts: Vec<&str> = RULES.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 5);
    for alert in alerts {
        assert!(OPERATING.contains(&format!("| `{alert}` |")), "{alert} has no row in docs/operations.md");
    }
}
