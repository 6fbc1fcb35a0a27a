//! Makes an enclave, commits to it and verifies the proof: `cargo run -p client --example commit_and_verify [URL]`.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use client::{Enclave, Identity, MemoryStore, Node, Template};
    use protocol::Json;
    let url = std::env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:8080".into());
    let node = Node::connect(&url)?;
    let (me, _secret) = Identity::generate()?;
    let manifest = Template::Open.manifest(&node.info()?.sequencer, &me.public());
    let enclave = Enclave::create(&node, &manifest, vec![], (me, MemoryStore::shared()))?.enclave;
    let sent = enclave.commit("Message", &Json::from("hello"))?; // the receipt is checked
    enclave.close_bundle()?; // so that the proof need not wait
    let proof = enclave.prove_event(&sent.receipt)?; // up to the signed tree head
    println!("event {} is entry {} of {}", sent.event.id, proof.answer.entry.leaf_index, enclave.id());
    Ok(())
}
