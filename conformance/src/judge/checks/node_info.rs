//! `GET /`: what a node says of itself.

use super::{Check, check};
use crate::judge::talk::{list, member, number, text};
use crate::judge::why::{Because, equal, hold};
use crate::people::now;
use crate::wire::Ask;
use protocol::{Json, PublicKey, schnorr};
use tlog::vkey::Vkey;

const SECTION: &str = "enc.md 7";

pub const CHECKS: &[Check] = &[
    check("node.members", SECTION, "GET / answers all listed members and no other.", |f| {
        let info = f.take(&Ask::get("/"))?;
        let Json::Object(members) = &info else { return hold(false, "GET / answers an object") };
        let listed = ["name", "version", "kernel", "enc_v", "sequencer", "heads_vkey", "services", "limits", "time"];
        for name in listed.into_iter().filter(|name| *name != "kernel") {
            member(&info, name)?;
        }
        let other = members.iter().find(|(name, _)| !listed.contains(&name.as_str()));
        hold(other.is_none(), format!("a member that is not listed: {other:?}"))?;
        hold(
            !text(&info, "name")?.is_empty() && !text(&info, "version")?.is_empty(),
            "name and version say something",
        )?;
        hold(matches!(member(&info, "limits")?, Json::Object(_)), "limits is an object")
    }),
    check("node.edition", SECTION, "enc_v lists 2.", |f| {
        let info = f.take(&Ask::get("/"))?;
        hold(list(&info, "enc_v")?.contains(&Json::from(2)), "enc_v holds 2")
    }),
    check("node.sequencer", SECTION, "sequencer is a BIP-340 key.", |f| {
        let info = f.take(&Ask::get("/"))?;
        let key = PublicKey::parse(text(&info, "sequencer")?).because("sequencer")?;
        hold(schnorr::is_point(&key), "sequencer is the x coordinate of a point")
    }),
    check("node.services", "services.md 3", "services names enc-node, the generic service.", |f| {
        let info = f.take(&Ask::get("/"))?;
        hold(list(&info, "services")?.contains(&Json::from("enc-node")), "services holds enc-node")
    }),
    check("node.heads-key", "enc.md 5", "heads_vkey is a verifier key of C2SP whose name ends in /heads.", |f| {
        let info = f.take(&Ask::get("/"))?;
        let vkey = Vkey::parse(text(&info, "heads_vkey")?).because("heads_vkey")?;
        let name = text(&info, "name")?;
        equal("its name", vkey.name().as_str(), format!("{name}/heads").as_str())
    }),
    check("node.time", SECTION, "time is the node's clock in milliseconds, within a minute of the judge's.", |f| {
        let first = number(&f.take(&Ask::get("/"))?, "time")?;
        let second = number(&f.take(&Ask::get("/"))?, "time")?;
        hold(first.abs_diff(now()) < 60_000, format!("{first} is now, within a minute"))?;
        hold(second >= first, "time does not run backwards")
    }),
    check("node.kernel", SECTION, "kernel, where it is there, is a SHA-256.", |f| {
        let info = f.take(&Ask::get("/"))?;
        member(&info, "version")?;
        match info.member("kernel") {
            None => Ok(()),
            Some(_) => protocol::EventId::parse(text(&info, "kernel")?).because("kernel").map(drop),
        }
    }),
];
