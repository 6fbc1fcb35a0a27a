//! The group workflow: applications, admission, moderation, leaving.

use super::checks::{Fault, Verdict, demand, demand_refusal, wrong};
use super::place::{Place, commit, mask, move_to, refused, somebody, texts, with_trait};
use client::{Enclave, Error, Filter, Identity, Node, Template};
use protocol::state::{Bitmask, GATE_OPEN, StateName};
use protocol::{Code, Json};

/// Who takes part. Checks that need somebody in a certain role make somebody new.
pub struct Group {
    place: Place,
    member: Identity,
}

type Check = fn(&mut Group) -> Verdict;

/// The checks in order.
pub const CHECKS: [(&str, Check); 14] = [
    ("a group from a manifest", create),
    ("its maker holds owner and admin", owner_holds),
    ("an outsider is refused", outsider),
    ("the gate for applications opens", gate),
    ("somebody applies", applies),
    ("and is admitted", admitted),
    ("the member writes", writes),
    ("the member reads", reads),
    ("muted: reads, does not write", muted),
    ("unmuted: writes again", unmuted),
    ("an admin cannot move the owner", rank),
    ("blocked: neither reads nor writes", blocked),
    ("the member leaves", leaves),
    ("tree head and state proofs", proofs),
];

impl Group {
    /// At a node.
    pub fn new(node: &Node) -> Result<Group, Error> {
        Ok(Group { place: Place::new(node, Template::Group)?, member: somebody()? })
    }

    fn owner(&mut self) -> Result<&Enclave, Fault> {
        self.place.owner()
    }

    fn member(&mut self) -> Result<Enclave, Fault> {
        let member = self.member.clone();
        self.place.of(Some(&member))
    }

    /// Somebody new whom the owner has made a member.
    fn another_member(&mut self) -> Result<(Identity, Enclave), Fault> {
        let who = somebody()?;
        commit(self.owner()?, "Move", &move_to(&who, "MEMBER"))?;
        let enclave = self.place.of(Some(&who))?;
        Ok((who, enclave))
    }
}

fn message(text: &str) -> Json {
    texts([("text", text)])
}

fn create(group: &mut Group) -> Verdict {
    let receipt = group.place.create()?;
    demand(receipt.position.seq == 0 && receipt.position.type_seq == 0, "the Manifest is not at seq 0")?;
    // What the node says of itself is signed by nothing: it must at least say it twice.
    if let Err(fault) = group.place.describe() {
        group.place.forget_description();
        return Err(fault);
    }
    Ok(receipt.enclave.hex())
}

fn owner_holds(group: &mut Group) -> Verdict {
    let who = group.place.owner.public();
    let enclave = group.owner()?;
    commit(enclave, "message", &message("the first"))?;
    enclave.close_bundle()?;
    let proven = enclave.prove_state(&StateName::Identity(&who))?;
    let expected = mask(enclave, "MEMBER", &["owner", "admin"])?;
    demand(proven.values == [expected.value()], "the owner has other roles")?;
    demand(proven.current, "the state is not the newest")?;
    Ok("MEMBER with owner, admin".into())
}

fn outsider(group: &mut Group) -> Verdict {
    let who = somebody()?;
    let enclave = group.place.of(Some(&who))?;
    refused(&enclave, &who, ("message", &message("let me in")), Code::Unauthorized)?;
    demand_refusal(enclave.query(&Filter::all()), Code::Unauthorized, None)?;
    let stranger = group.place.of(None)?;
    demand_refusal(stranger.query(&Filter::all()), Code::Unauthorized, None)?;
    Ok("unauthorized, to write and to read".into())
}

fn gate(group: &mut Group) -> Verdict {
    let early = somebody()?;
    let enclave = group.owner()?;
    // The gate opens whatever came of this, so that those who apply later find it open.
    let closed = refused(enclave, &early, ("Move", &move_to(&early, "PENDING")), Code::GateClosed);
    let order = Json::object([("alias", Json::from("applications")), ("open", Json::Bool(true))]);
    commit(enclave, "Gate", &order)?;
    closed?;
    enclave.close_bundle()?;
    let proven = enclave.prove_state(&StateName::Gate("applications"))?;
    demand(proven.values == [Some(GATE_OPEN)], "the state does not show the gate open")?;
    Ok("closed before, open now".into())
}

fn applies(group: &mut Group) -> Verdict {
    let member = group.member.clone();
    let applied = commit(&group.member()?, "Move", &move_to(&member, "PENDING"))?;
    Ok(format!("seq {}", applied.receipt.position.seq))
}

fn admitted(group: &mut Group) -> Verdict {
    let member = group.member.clone();
    let enclave = group.owner()?;
    let sent = commit(enclave, "Move", &move_to(&member, "MEMBER"))?;
    enclave.close_bundle()?;
    let proven = enclave.prove_state(&StateName::Identity(&member.public()))?;
    let expected = mask(enclave, "MEMBER", &[])?;
    demand(proven.values == [expected.value()], "the state does not show a member")?;
    Ok(format!("seq {}", sent.receipt.position.seq))
}

fn writes(group: &mut Group) -> Verdict {
    let sent = commit(&group.member()?, "message", &message("hello, all"))?;
    Ok(format!("seq {}", sent.receipt.position.seq))
}

fn reads(group: &mut Group) -> Verdict {
    let member = group.member()?;
    let sent = commit(group.owner()?, "message", &message("welcome"))?;
    let page = member.query(&Filter::by_hash(sent.receipt.hash))?;
    demand(page.events[..] == [sent.event], "the member reads something else")?;
    Ok(format!("seq {}", sent.receipt.position.seq))
}

fn muted(group: &mut Group) -> Verdict {
    let who = group.member.clone();
    let member = group.member()?;
    let granted = commit(group.owner()?, "Grant", &with_trait(&who, "muted"))?;
    refused(&member, &who, ("message", &message("may I?")), Code::Unauthorized)?;
    let page = member.query(&Filter::by_hash(granted.receipt.hash))?;
    demand(page.events[..] == [granted.event], "the muted member does not read")?;
    Ok("unauthorized to write, reads on".into())
}

fn unmuted(group: &mut Group) -> Verdict {
    let who = group.member.clone();
    let member = group.member()?;
    commit(group.owner()?, "Revoke", &with_trait(&who, "muted"))?;
    let sent = commit(&member, "message", &message("thank you"))?;
    Ok(format!("seq {}", sent.receipt.position.seq))
}

fn rank(group: &mut Group) -> Verdict {
    let owner = group.place.owner.clone();
    let (who, admin) = group.another_member()?;
    commit(group.owner()?, "Grant", &with_trait(&who, "admin"))?;
    for state in ["BLOCKED", "OUTSIDER"] {
        refused(&admin, &who, ("Move", &move_to(&owner, state)), Code::RankTooLow)?;
    }
    Ok("rank_too_low".into())
}

fn blocked(group: &mut Group) -> Verdict {
    let (who, enclave) = group.another_member()?;
    let moved = commit(group.owner()?, "Move", &move_to(&who, "BLOCKED"))?;
    refused(&enclave, &who, ("message", &message("hey")), Code::Unauthorized)?;
    demand_refusal(enclave.query(&Filter::all()), Code::Unauthorized, None)?;
    Ok(format!("unauthorized since seq {}", moved.receipt.position.seq))
}

/// Who leaves by its own Move keeps reading what came before it, and no more.
fn leaves(group: &mut Group) -> Verdict {
    let who = group.member.clone();
    let member = group.member()?;
    let left = commit(&member, "Move", &move_to(&who, "OUTSIDER"))?;
    let later = commit(group.owner()?, "message", &message("without you"))?;
    refused(&member, &who, ("message", &message("am I still here?")), Code::Unauthorized)?;
    let before = member.query(&Filter::by_hash(left.receipt.hash))?;
    demand(before.events[..] == [left.event], "what came before cannot be read any more")?;
    let after = member.query(&Filter::by_hash(later.receipt.hash))?;
    demand(after.events.is_empty(), "what came after can be read")?;
    Ok(format!("seq {}", left.receipt.position.seq))
}

fn proofs(group: &mut Group) -> Verdict {
    let (owner, member) = (group.place.owner.public(), group.member.public());
    let (moved, _) = group.another_member()?;
    let enclave = group.owner()?;
    let sent = commit(enclave, "Move", &move_to(&moved, "BLOCKED"))?;
    let closed = enclave.close_bundle()?;
    let head = enclave.sth()?;
    demand(head.fresh && head.tree_size() == closed.tree_size(), "the tree head is not the newest")?;
    let moved = moved.public();
    let names = [StateName::Identity(&owner), StateName::Identity(&member), StateName::Identity(&moved)];
    let proven = enclave.prove_states(&names)?;
    demand(proven.current, "the state is not the newest")?;
    let expected = [mask(enclave, "MEMBER", &["owner", "admin"])?, Bitmask::default(), mask(enclave, "BLOCKED", &[])?];
    for ((value, expected), who) in proven.values.iter().zip(expected).zip(["owner", "leaver", "blocked"]) {
        if *value != expected.value() {
            return Err(wrong(format!("the {who} has other roles")));
        }
    }
    let event = enclave.prove_event(&sent.receipt)?;
    Ok(format!("{} entries; 3 identities after bundle {}", event.head.tree_size(), proven.leaf_index))
}
