//! `evidence`: compares what this client, others and nodes hold of an enclave, and writes down where a sequencer contradicts itself.

use crate::context::Context;
use crate::evidence_words::{told, why_not};
use crate::failure::{EVIDENCE_FOUND, Failure};
use clap::{Args, Subcommand};
use client::evidence::{FileFault, Probe, Probed, Statements, compare, is_home};
use client::folder::replace_file;
use client::{Error, FolderStore, Node, Pin, Store};
use protocol::evidence::Evidence;
use protocol::json::{self, MAX_DEPTH};
use protocol::{EnclaveId, Json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Find and check evidence that a sequencer has contradicted itself.
#[derive(Subcommand)]
pub enum Command {
    /// Compare what you, others and nodes hold, and write a file for each contradiction
    Collect(Collect),
    /// Check evidence files offline
    Verify(Verify),
    /// Print what you hold of an enclave, for somebody else to compare with
    Export(Export),
}

/// Compare what you, others and nodes hold.
#[derive(Args)]
#[command(after_help = "\
Compared are the pin, the newest tree head and the receipts that are kept here, those in every --with, and what the node (and every --ask)
answers now. A file is written for each kind of contradiction and key: the first place, or the smallest log, where it shows.
The exit code is 0 where nothing contradicts, 6 where evidence was written.

Example: ask a friend for `enc evidence export > theirs.json`, then: enc evidence collect --with theirs.json")]
pub struct Collect {
    /// The enclave, by id or name [default: --enclave, else the one in use]
    #[arg(value_name = "ENCLAVE")]
    enclave: Option<String>,
    /// What somebody else holds: an export, a proof file, a checkpoint, lines of receipts, tree heads or events, or another client's folder
    #[arg(long, value_name = "FILE|FOLDER")]
    with: Vec<PathBuf>,
    /// Ask this node too
    #[arg(long, value_name = "URL")]
    ask: Vec<String>,
    /// Ask no node
    #[arg(long, conflicts_with = "ask")]
    offline: bool,
    /// Where the files go
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    out: PathBuf,
}

/// Check evidence files offline.
#[derive(Args)]
#[command(after_help = "\
A file proves that one key has signed both statements. Whose key that is, the enclave's Manifest says: it is named in the output where the
enclave is known here.")]
pub struct Verify {
    /// The files, or - for standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

/// Print what you hold of an enclave.
#[derive(Args)]
#[command(after_help = "\
The Manifest, the Migrates, the newest tree head, your receipts, and the tree head and checkpoint that the node shows now. Receipts tell
when you wrote how much, and nothing of what you wrote. There is no secret key in it.")]
pub struct Export {
    /// Ask no node
    #[arg(long)]
    offline: bool,
}

/// Runs it.
pub fn run(command: &Command, context: &Context) -> Result<ExitCode, Failure> {
    match command {
        Command::Collect(asked) => collect(asked, context),
        Command::Verify(asked) => verify(asked, context).map(|()| ExitCode::SUCCESS),
        Command::Export(asked) => export(asked, context).map(|()| ExitCode::SUCCESS),
    }
}

fn collect(asked: &Collect, context: &Context) -> Result<ExitCode, Failure> {
    let id = match &asked.enclave {
        Some(text) => context.home.enclave_of(text)?,
        None => context.enclave_id()?,
    };
    let own = own_statements(context, id, asked)?;
    let known = own.pin().clone();
    let mut parties = vec![own];
    for path in &asked.with {
        parties.push(of_another(path, &known)?);
    }
    let (mut found, mut silent) = (Vec::new(), Vec::new());
    let mut nodes = 0;
    for node in nodes_to_ask(context, id, asked)? {
        match ask(context, &node, &parties) {
            Ok(probed) => {
                nodes += 1;
                for error in &probed.unanswered {
                    context.out.line(format!("not compared: {}: {error}", node.url()))?;
                }
                found.extend(probed.found);
                parties.push(probed.statements);
            }
            Err(error) => silent.push((node.url().to_string(), error)),
        }
    }
    found.extend(compare(&parties));
    let found = first_of_each(found);
    for evidence in &found {
        write_down(context, evidence, &asked.out)?;
    }
    report(context, &parties, (nodes, found.len()), silent)
}

/// The end of it: what was compared, and who did not answer. A node that was not heard is a failure unless evidence is there all the same.
fn report(
    context: &Context,
    parties: &[Statements],
    (nodes, found): (usize, usize),
    silent: Vec<(String, Error)>,
) -> Result<ExitCode, Failure> {
    for (url, error) in &silent {
        context.out.line(format!("not asked: {url}: {error}"))?;
    }
    let asked_in_vain = silent.iter().map(|(url, _)| Json::from(url.as_str())).collect();
    let heads: usize = parties.iter().map(|party| party.heads().len()).sum();
    let receipts: usize = parties.iter().map(|party| party.receipts().count()).sum();
    let compared = format!("{heads} heads and {receipts} receipts of {} parties, {nodes} of them nodes", parties.len());
    if found == 0
        && let Some((_, error)) = silent.into_iter().next()
    {
        return Err(error.into());
    }
    let verdict = if found == 0 { "nothing contradicts" } else { "evidence" };
    let members = [
        ("found", Json::from(found as u64)),
        ("heads", Json::from(heads as u64)),
        ("nodes", Json::from(nodes as u64)),
        ("ok", Json::Bool(found == 0)),
        ("parties", Json::from(parties.len() as u64)),
        ("receipts", Json::from(receipts as u64)),
        ("silent", Json::Array(asked_in_vain)),
    ];
    context.out.both(format!("{verdict}: {compared}"), &Json::object(members))?;
    Ok(if found == 0 { ExitCode::SUCCESS } else { ExitCode::from(EVIDENCE_FOUND) })
}

/// What is kept here. Who has never met the enclave takes its Manifest from a file that proves it, or else asks the node.
fn own_statements(context: &Context, id: EnclaveId, asked: &Collect) -> Result<Statements, Failure> {
    if let Some(own) = Statements::kept(&context.home.folder_store(), &id)? {
        return Ok(own);
    }
    for path in &asked.with {
        let pin = match store_in(path) {
            Some(store) => store.pin(&id)?.filter(Pin::bound),
            None => Statements::pin_in_file(&read(path)?),
        };
        if let Some(pin) = pin.filter(|pin| pin.enclave() == id) {
            return Ok(Statements::of(pin));
        }
    }
    if asked.offline {
        let fault = format!("nothing is kept of enclave {id}, and no file proves its Manifest");
        return Err(Failure::Usage(fault, "Leave --offline out, or give an export (`enc evidence export`)."));
    }
    let enclave =
        client::Enclave::open(&context.node(Some(&id))?, id, context.identity_or_stranger()?, context.home.store())?;
    Ok(Statements::of(enclave.pin()))
}

fn of_another(path: &Path, known: &Pin) -> Result<Statements, Failure> {
    if let Some(store) = store_in(path) {
        let held = Statements::kept(&store, &known.enclave())?;
        let fault = format!("holds nothing of enclave {}", known.enclave());
        return held.ok_or(Failure::Content { path: path.into(), fault });
    }
    Statements::in_file(&read(path)?, known).map_err(|fault| {
        let fault = match fault {
            FileFault::Unknown => "is no export, proof, checkpoint, nor lines of receipts, tree heads or events".into(),
            FileFault::OtherEnclave(id) => format!("is about enclave {id}"),
            FileFault::DoesNotHold => "has a statement that no sequencer of the enclave has signed".into(),
        };
        Failure::Content { path: path.into(), fault }
    })
}

/// A folder is another client's: its home, or the folder of enclaves in it.
fn store_in(path: &Path) -> Option<FolderStore> {
    let root = if is_home(path) { path.join("enclaves") } else { path.into() };
    path.is_dir().then(|| FolderStore::new(root))
}

fn nodes_to_ask(context: &Context, id: EnclaveId, asked: &Collect) -> Result<Vec<Node>, Failure> {
    if asked.offline {
        return Ok(Vec::new());
    }
    let mut nodes = vec![context.node(Some(&id))?];
    for url in &asked.ask {
        nodes.push(context.node_at(url)?);
    }
    Ok(nodes)
}

fn ask(context: &Context, node: &Node, parties: &[Statements]) -> Result<Probed, Error> {
    let known = parties.iter().map(Statements::pin).max_by_key(|pin| pin.migrates().len());
    let known = known.expect("what is kept here is the first of the parties");
    // Without a key a stranger asks, who may still see heads.
    let identity = context.identity_or_stranger().ok().flatten();
    Probe::of(node, known, identity).ask(parties)
}

/// One of each kind, key and place; what two nodes prove alike is written once.
fn first_of_each(found: Vec<Evidence>) -> Vec<Evidence> {
    let mut first: Vec<Evidence> = Vec::new();
    for evidence in found {
        if !first.contains(&evidence) {
            first.push(evidence);
        }
    }
    first
}

fn write_down(context: &Context, evidence: &Evidence, folder: &Path) -> Result<(), Failure> {
    let Ok(proven) = evidence.verify() else { return Ok(()) };
    let text = evidence.to_json().to_jcs();
    let kind = evidence.contradiction.kind();
    let name = format!("evidence-{}-{kind}-{}", &evidence.enclave.hex()[..8], proven.kind.place());
    let numbered = (2..).map(|number: u32| folder.join(format!("{name}-{number}.json")));
    let mut paths = [folder.join(format!("{name}.json"))].into_iter().chain(numbered);
    let is_ours = |path: &PathBuf| match std::fs::read(path) {
        Ok(bytes) => bytes == text.as_bytes(),
        Err(_) => !path.exists(),
    };
    let path = paths.find(is_ours).expect("numbers do not run out");
    replace_file(&path, text.as_bytes())?;
    for line in told(evidence, proven.kind) {
        context.out.line(line)?;
    }
    context.out.line(format!("  -> {}", path.display()))?;
    context.out.json(&Json::object([
        ("enclave", Json::from(evidence.enclave.hex())),
        ("file", Json::from(path.display().to_string())),
        ("kind", Json::from(kind)),
        ("place", Json::from(proven.kind.place())),
        ("sequencer", Json::from(evidence.sequencer.hex())),
    ]))
}

fn verify(asked: &Verify, context: &Context) -> Result<(), Failure> {
    asked.files.iter().try_for_each(|path| verify_file(path, context))
}

/// Checks one file and says what it proves; `enc verify evidence` does the same.
pub fn verify_file(path: &Path, context: &Context) -> Result<(), Failure> {
    let fails = |why| Failure::DoesNotHold(format!("{}: {why}", path.display()));
    let value = json::parse(&read(path)?, MAX_DEPTH).map_err(|_| fails("it is no evidence file"))?;
    let evidence = Evidence::from_json(value).map_err(|_| fails("it is no evidence file"))?;
    let proven = evidence.verify().map_err(|error| fails(why_not(&error)))?;
    context.check_named(proven.enclave)?;
    let out = context.out;
    out.line(format!("enclave    {}", proven.enclave))?;
    for line in told(&evidence, proven.kind) {
        out.line(line)?;
    }
    let pin = context.home.store().pin(&proven.enclave)?;
    let role = match pin.map(|pin| pin.sequencers().contains(&proven.sequencer)) {
        Some(true) => "the key is the enclave's sequencer, by the chain that is kept here",
        Some(false) => "the key is NOT known here as a sequencer of the enclave: the file proves nothing about it",
        None => "whether the key is the enclave's sequencer is not known here: compare it with the Manifest",
    };
    out.line(format!("       {role}"))?;
    out.json(&Json::object([
        ("enclave", Json::from(proven.enclave.hex())),
        ("kind", Json::from(evidence.contradiction.kind())),
        ("ok", Json::Bool(true)),
        ("place", Json::from(proven.kind.place())),
        ("sequencer", Json::from(proven.sequencer.hex())),
    ]))
}

fn export(asked: &Export, context: &Context) -> Result<(), Failure> {
    let id = context.enclave_id()?;
    let kept = Statements::kept(&context.home.folder_store(), &id)?;
    let mut held = match kept {
        Some(kept) => kept,
        None => Statements::of(context.enclave()?.pin()),
    };
    if !asked.offline {
        let node = context.node(Some(&id))?;
        let probed = Probe::of(&node, held.pin(), None).ask(&[])?;
        for error in &probed.unanswered {
            eprintln!("not included: {}: {error}", node.url());
        }
        for head in probed.statements.heads() {
            held.add_head(head.statement.clone(), &head.sequencer);
        }
    }
    context.out.raw(held.to_json().to_jcs())
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::io::stdin(), &mut bytes).map(|_| bytes)
    } else {
        std::fs::read(path)
    };
    bytes.map_err(|cause| Failure::File { path: path.into(), cause })
}
