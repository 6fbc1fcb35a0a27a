//! The admission chain: each limit with its code, and what it does not touch.

use encd::config::Config;
use encd::hooks::{Admitted, Chain, refusal};
use protocol::code::Detail;
use protocol::{Code, EnclaveId, PublicKey, Rejection};
use service::call::Admission;
use std::net::IpAddr;

const SECOND: u64 = 1_000_000_000;
const ALICE: PublicKey = PublicKey([0xaa; 32]);
const BOB: PublicKey = PublicKey([0xbb; 32]);
const ONE: EnclaveId = EnclaveId([1; 32]);
const TWO: EnclaveId = EnclaveId([2; 32]);
const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1));
const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 2));

const LIMITED: Result<(), Code> = Err(Code::RateLimited);
const UNAUTHORIZED: Result<(), Code> = Err(Code::Unauthorized);
const EXCEEDED: Result<(), Code> = Err(Code::LimitExceeded);

fn chain(config: &str) -> Chain {
    let config = Config::parse(config).unwrap_or_else(|error| panic!("{config}: {error}"));
    Chain::from_config(&config).unwrap_or_else(|error| panic!("{config:?}: {error}"))
}

fn note() -> Admission {
    Admission::Commit("note".into())
}

fn every_admission() -> [Admission; 13] {
    [
        note(),
        Admission::Create,
        Admission::Query,
        Admission::Pull,
        Admission::Subscribe,
        Admission::Proof,
        Admission::Push,
        Admission::Snapshot,
        Admission::Restore,
        Admission::Init,
        Admission::CloseBundle,
        Admission::Info,
        Admission::Log,
    ]
}

/// A verified commit of Alice's from the network, on a public listener.
fn request(admission: &Admission) -> Admitted<'_> {
    Admitted {
        service: "enc-node",
        enclave: Some(&ONE),
        admission,
        from: Some(&ALICE),
        verified: true,
        address: THERE,
        len: 300,
        listener_loopback: false,
        bearer: None,
    }
}

fn judge(chain: &Chain, admitted: &Admitted<'_>, now: u64) -> Result<(), Code> {
    chain.judge_at(admitted, now).map_err(|rejection| rejection.code)
}

/// A file with a token, gone when dropped.
struct TokenFile(std::path::PathBuf);

impl TokenFile {
    fn new(name: &str, token: &str) -> TokenFile {
        let path = std::env::temp_dir().join(format!("encd-ops-{}-{name}", std::process::id()));
        std::fs::write(&path, token).expect("the temporary folder can be written to");
        TokenFile(path)
    }

    fn path(&self) -> std::path::Display<'_> {
        self.0.display()
    }
}

impl Drop for TokenFile {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).expect("it was written when this was made");
    }
}

#[test]
fn by_default_a_loopback_node_admits_everything() {
    let chain = chain("");
    for admission in every_admission() {
        let local = Admitted { address: HERE, listener_loopback: true, ..request(&admission) };
        for _ in 0..20_000 {
            assert_eq!(judge(&chain, &local, 0), Ok(()), "{}", admission.name());
        }
        assert_eq!(chain.arriving(HERE), Ok(()));
    }
}

#[test]
fn the_rate_of_an_address() {
    let chain = chain("[rates]\naddress_per_second = 10\naddress_burst = 3");
    for admission in every_admission().into_iter().filter(|a| !matches!(a, Admission::Create | Admission::Restore)) {
        let now = SECOND * 1000;
        // Whoever it says to be from, whatever is asked, public or not.
        let unverified = Admitted { verified: false, from: Some(&BOB), ..request(&admission) };
        let rows = [request(&admission), unverified, Admitted { from: None, ..request(&admission) }];
        let chain = self::chain("[rates]\naddress_per_second = 10\naddress_burst = 3");
        for row in &rows {
            assert_eq!(judge(&chain, row, now), Ok(()), "{}", admission.name());
        }
        for row in &rows {
            assert_eq!(judge(&chain, row, now), LIMITED, "{}", admission.name());
        }
        assert_eq!(judge(&chain, &rows[0], now + SECOND / 10), Ok(()), "a tenth of a second refills one");
    }
    let note = note();
    let admitted = request(&note);
    for _ in 0..3 {
        assert_eq!(judge(&chain, &admitted, 0), Ok(()));
    }
    assert_eq!(judge(&chain, &admitted, 0), LIMITED);
    assert_eq!(judge(&chain, &Admitted { address: ELSEWHERE, ..admitted }, 0), Ok(()), "others are not touched");
    let local = Admitted { address: HERE, ..admitted };
    for _ in 0..10 {
        assert_eq!(judge(&chain, &local, 0), Ok(()), "this machine is spared");
    }
}

#[test]
fn who_has_used_up_its_rate_is_known_before_its_request_is_read() {
    // A day ahead of the chain's own clock, so that nothing is refilled while the test runs.
    let now = SECOND * 86_400;
    let chain = chain("[rates]\naddress_per_second = 1\naddress_burst = 2");
    for _ in 0..2 {
        assert_eq!(judge(&chain, &request(&note()), now), Ok(()));
    }
    assert_eq!(chain.arriving(THERE), Err(Code::RateLimited.into()));
    assert_eq!(chain.arriving(THERE), Err(Code::RateLimited.into()), "asking counts nothing");
    assert_eq!(chain.arriving(ELSEWHERE), Ok(()));
}

#[test]
fn what_cannot_be_read_counts_for_its_address() {
    let chain = chain("[rates]\naddress_per_second = 1\naddress_burst = 3");
    for _ in 0..100 {
        chain.unread(THERE);
        chain.unread(HERE);
    }
    assert_eq!(judge(&chain, &request(&note()), 0), LIMITED);
    assert_eq!(judge(&chain, &Admitted { address: HERE, ..request(&note()) }, 0), Ok(()));
    // What was refused is not owed: in the time of the burst all of it is back.
    let now = 10 * SECOND;
    for expected in [Ok(()), Ok(()), Ok(()), LIMITED] {
        assert_eq!(judge(&chain, &request(&note()), now), expected);
    }
}

#[test]
fn the_rate_of_a_key_counts_only_what_its_owner_sent() {
    let chain = chain("[rates]\nkey_per_second = 10\nkey_burst = 2\naddress_per_second = 0");
    let note = note();
    let alice = request(&note);
    // Anybody can name Alice; that must not lock her out.
    for _ in 0..100 {
        assert_eq!(judge(&chain, &Admitted { verified: false, address: ELSEWHERE, ..alice }, 0), Ok(()));
    }
    assert_eq!(judge(&chain, &alice, 0), Ok(()));
    assert_eq!(judge(&chain, &Admitted { address: ELSEWHERE, enclave: Some(&TWO), ..alice }, 0), Ok(()));
    assert_eq!(judge(&chain, &alice, 0), LIMITED);
    assert_eq!(judge(&chain, &Admitted { verified: false, ..alice }, 0), Ok(()), "not hers for certain: not counted");
    assert_eq!(judge(&chain, &Admitted { from: Some(&BOB), ..alice }, 0), Ok(()));
    assert_eq!(judge(&chain, &Admitted { from: None, ..alice }, 0), Ok(()));
    for public in [Admission::Info, Admission::Log] {
        assert_eq!(judge(&chain, &Admitted { admission: &public, ..alice }, 0), Ok(()));
    }
    assert_eq!(judge(&chain, &alice, SECOND / 10), Ok(()));
}

#[test]
fn loopback_is_spared_unless_it_may_be_anybody() {
    let note = note();
    let limited = "[rates]\naddress_per_second = 1\naddress_burst = 1\nkey_per_second = 1\nkey_burst = 1\n";
    let proxied = format!("{limited}[listen]\ntrusted_proxies = [\"127.0.0.1\"]");
    let behind_url = format!("{limited}[listen]\npublic_url = \"https://node.example\"");
    for (config, spared) in [
        (limited.to_owned(), true),
        (format!("{limited}loopback = true"), false),
        (proxied, false),
        (behind_url, false),
    ] {
        let chain = chain(&config);
        let mapped = "::ffff:127.0.0.1".parse().expect("an address");
        let local = Admitted { address: mapped, ..request(&note) };
        assert_eq!(judge(&chain, &local, 0), Ok(()));
        assert_eq!(judge(&chain, &local, 0), if spared { Ok(()) } else { LIMITED }, "{config}");
    }
}

#[test]
fn making_enclaves_is_closed_on_a_public_listener() {
    let chain = chain("");
    for admission in every_admission() {
        let makes = matches!(admission, Admission::Create | Admission::Restore);
        let public = request(&admission);
        assert_eq!(judge(&chain, &public, 0), if makes { UNAUTHORIZED } else { Ok(()) }, "{}", admission.name());
        assert_eq!(judge(&chain, &Admitted { listener_loopback: true, ..public }, 0), Ok(()), "{}", admission.name());
    }
    // The listener decides, not the peer: loopback peers of a public listener are no exception.
    assert_eq!(judge(&chain, &Admitted { address: HERE, ..request(&Admission::Create) }, 0), UNAUTHORIZED);
}

#[test]
fn a_proxy_makes_a_loopback_listener_public() {
    for config in [
        "[listen]\npublic_url = \"https://node.example\"",
        "[listen]\ntrusted_proxies = [\"127.0.0.1\"]",
        "[create]\nloopback = true",
    ] {
        let local = Admitted { listener_loopback: true, address: HERE, ..request(&Admission::Create) };
        assert_eq!(judge(&chain(config), &local, 0), UNAUTHORIZED, "{config}");
    }
}

#[test]
fn listed_keys_make_enclaves() {
    let chain = chain(&format!("[create]\npolicy = \"allow-list\"\ncreators = [\"{}\"]", ALICE.hex()));
    for admission in [Admission::Create, Admission::Restore] {
        let alice = request(&admission);
        assert_eq!(judge(&chain, &alice, 0), Ok(()));
        assert_eq!(judge(&chain, &Admitted { from: Some(&BOB), ..alice }, 0), UNAUTHORIZED);
        assert_eq!(judge(&chain, &Admitted { from: None, ..alice }, 0), UNAUTHORIZED);
    }
    assert_eq!(judge(&chain, &Admitted { from: Some(&BOB), ..request(&note()) }, 0), Ok(()));
}

#[test]
fn a_token_makes_enclaves() {
    let file = TokenFile::new("create", "make-an-enclave-please\n");
    let chain = chain(&format!("[create]\npolicy = \"token\"\ntoken_file = \"{}\"", file.path()));
    for (bearer, expected) in [
        (Some("make-an-enclave-please"), Ok(())),
        (Some("make-an-enclave-pleas"), UNAUTHORIZED),
        (Some(""), UNAUTHORIZED),
        (None, UNAUTHORIZED),
    ] {
        assert_eq!(judge(&chain, &Admitted { bearer, ..request(&Admission::Create) }, 0), expected, "{bearer:?}");
    }
}

#[test]
fn the_admin_token_makes_enclaves_whatever_the_policy() {
    let file = TokenFile::new("admin", "the-operator-himself");
    let chain = chain(&format!("[admin]\ntoken_file = \"{}\"", file.path()));
    let with = |bearer| Admitted { bearer, ..request(&Admission::Create) };
    assert_eq!(judge(&chain, &with(Some("the-operator-himself")), 0), Ok(()));
    assert_eq!(judge(&chain, &with(Some("the-operator-himsel")), 0), UNAUTHORIZED);
    assert_eq!(judge(&chain, &with(None), 0), UNAUTHORIZED);
}

#[test]
fn open_making_has_quotas() {
    let config = "[create]\npolicy = \"open\"\nper_creator_per_hour = 2\nper_address_per_hour = 3";
    let hour = 3600 * SECOND;
    let alice = request(&Admission::Create);
    let bob = Admitted { from: Some(&BOB), ..alice };

    let by_key = chain(config);
    for address in [THERE, ELSEWHERE] {
        assert_eq!(judge(&by_key, &Admitted { address, ..alice }, 0), Ok(()));
    }
    assert_eq!(judge(&by_key, &alice, 0), EXCEEDED);
    assert_eq!(by_key.judge_at(&alice, 0), Err(Rejection::with(Code::LimitExceeded, Detail::Limit(2))));
    assert_eq!(judge(&by_key, &alice, hour), Ok(()));

    let by_address = chain(config);
    for admitted in [alice, alice, bob] {
        assert_eq!(judge(&by_address, &admitted, 0), Ok(()));
    }
    assert_eq!(by_address.judge_at(&bob, 0), Err(Rejection::with(Code::LimitExceeded, Detail::Limit(3))));
    assert_eq!(judge(&by_address, &Admitted { address: ELSEWHERE, ..bob }, 0), Ok(()));

    // Manifests that only name Alice as their author leave her quota alone.
    let claimed = chain(config);
    for last in 1..=3 {
        let address = IpAddr::from([192, 0, 2, last]);
        assert_eq!(judge(&claimed, &Admitted { verified: false, address, ..alice }, 0), Ok(()));
    }
    assert_eq!(judge(&claimed, &alice, 0), Ok(()));

    let unlimited = chain("[create]\npolicy = \"open\"\nper_creator_per_hour = 0\nper_address_per_hour = 0");
    for _ in 0..1000 {
        assert_eq!(judge(&unlimited, &alice, 0), Ok(()));
    }
}

#[test]
fn an_enclave_has_quotas_of_what_was_sequenced() {
    let chain = chain(
        "[quotas]\nenclave_events_per_second = 1\nenclave_bytes_per_second = 100\n[rates]\naddress_per_second = 0\nkey_per_second = 0",
    );
    let note = note();
    let admitted = request(&note);
    // Ten seconds' worth at once. What is only asked, as by strangers, uses up nothing.
    let now = 0;
    for _ in 0..1000 {
        assert_eq!(judge(&chain, &admitted, now), Ok(()));
    }
    for _ in 0..10 {
        chain.sequenced(&ONE, 1);
    }
    assert_eq!(chain.judge_at(&admitted, now), Err(Rejection::with(Code::LimitExceeded, Detail::Limit(1))));
    assert_eq!(judge(&chain, &Admitted { enclave: Some(&TWO), ..admitted }, now), Ok(()));
    for admission in every_admission().into_iter().filter(|a| !matches!(a, Admission::Create | Admission::Restore)) {
        let grows = matches!(admission, Admission::Commit(_));
        let expected = if grows { EXCEEDED } else { Ok(()) };
        assert_eq!(judge(&chain, &request(&admission), now), expected, "{}", admission.name());
    }
    assert_eq!(judge(&chain, &admitted, 1000 * SECOND), Ok(()), "in time it is refilled");

    chain.sequenced(&TWO, 1001);
    let two = Admitted { enclave: Some(&TWO), ..admitted };
    assert_eq!(chain.judge_at(&two, now), Err(Rejection::with(Code::LimitExceeded, Detail::Limit(100))));
}

#[test]
fn actions_that_need_the_admin_token() {
    let file = TokenFile::new("actions", "the-operator-himself");
    let chain = chain(&format!(
        "[hooks]\nadmin_actions = [\"snapshot\", \"commit:note\"]\n[admin]\ntoken_file = \"{}\"",
        file.path()
    ));
    for admission in every_admission().into_iter().filter(|a| !matches!(a, Admission::Create | Admission::Restore)) {
        let needs = matches!(admission, Admission::Snapshot | Admission::Commit(_));
        let expected = if needs { UNAUTHORIZED } else { Ok(()) };
        for bearer in [None, Some("somebody-else-here")] {
            let local = Admitted { listener_loopback: true, address: HERE, bearer, ..request(&admission) };
            assert_eq!(judge(&chain, &local, 0), expected, "{}", admission.name());
        }
        let operator = Admitted { bearer: Some("the-operator-himself"), ..request(&admission) };
        assert_eq!(judge(&chain, &operator, 0), Ok(()), "{}", admission.name());
    }
    assert_eq!(judge(&chain, &request(&Admission::Commit("notes".into())), 0), Ok(()));
}

#[test]
fn configurations_that_could_not_be_meant() {
    let short = TokenFile::new("short", "too-short");
    for config in [
        "[hooks]\nadmin_actions = [\"snapshot\"]".to_owned(),
        "[hooks]\nadmin_actions = [\"info\"]\n[admin]\ntoken_file = \"/dev/null\"".to_owned(),
        "[hooks]\nhttp_url = \"http://192.0.2.1/\"".to_owned(),
        "[hooks]\nhttp_url = \"http://127.0.0.1/\"\nhttp_timeout_ms = 0".to_owned(),
        "[create]\npolicy = \"token\"".to_owned(),
        "[create]\npolicy = \"token\"\ntoken_file = \"/nonexistent\"".to_owned(),
        format!("[create]\npolicy = \"token\"\ntoken_file = \"{}\"", short.path()),
        format!("[admin]\ntoken_file = \"{}\"", short.path()),
        format!("[create]\npolicy = \"allow-list\"\ncreators = [\"{}\"]", ALICE.hex().to_uppercase()),
    ] {
        let parsed = Config::parse(&config).unwrap_or_else(|error| panic!("{config}: {error}"));
        assert!(Chain::from_config(&parsed).is_err(), "{config}");
    }
    for config in ["[create]\npolicy = \"sometimes\"", "[rates]\nper_minute = 3"] {
        assert!(Config::parse(config).is_err(), "{config}");
    }
}

#[test]
fn refusals_by_hooks_as_answers() {
    for (code, status, retry_after) in [
        (Code::Unauthorized, 401, None),
        (Code::RateLimited, 429, Some("1")),
        (Code::Overloaded, 503, Some("1")),
        (Code::LimitExceeded, 400, None),
    ] {
        let response = refusal(&code.into(), None);
        assert_eq!(response.status, status);
        let told: Vec<&str> = response
            .headers
            .iter()
            .filter(|(name, _)| *name == "Retry-After")
            .map(|(_, value)| value.as_str())
            .collect();
        assert_eq!(told, Vec::from_iter(retry_after), "{code:?}");
    }
}
