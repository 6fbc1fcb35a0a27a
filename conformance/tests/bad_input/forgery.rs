//! The session that anybody can make for anybody: with `R = G`, `session_pub = x(R + e·P)` needs no private key. In plain it must prove
//! nothing; in an envelope it proves nothing until the cipher opens, which takes the private half.

use k256::elliptic_curve::ops::Reduce;
use k256::elliptic_curve::point::{AffineCoordinates, DecompactPoint};
use k256::{AffinePoint, FieldBytes, ProjectivePoint, Scalar};
use protocol::PublicKey;
use protocol::cbor::sha256;
use protocol::ids::hex;
use protocol::session::{check_encrypted, session_message};

/// A token for `victim` in its encrypted form, from public values only.
///
/// # Panics
/// Where it is not what a node would take for one.
pub fn session(victim: &PublicKey, sequencer: &PublicKey, expires_secs: u32) -> String {
    let nonce: [u8; 32] = ProjectivePoint::GENERATOR.to_affine().x().into();
    let message = session_message(expires_secs, sequencer);
    let tag = sha256(b"BIP0340/challenge");
    let digest = sha256(&[&tag[..], &tag, &nonce, &victim.0, &message].concat());
    let challenge = <Scalar as Reduce<FieldBytes>>::reduce(&FieldBytes::from(digest));
    let lift = |x: [u8; 32]| AffinePoint::decompact(&FieldBytes::from(x)).into_option().map(ProjectivePoint::from);
    let (nonce_point, key) = (lift(nonce).expect("G is a point"), lift(victim.0).expect("a key is a point"));
    let public: [u8; 32] = (nonce_point + key * challenge).to_affine().x().into();
    let token = format!("{}{}{expires_secs:08x}", hex(&nonce), hex(&public));
    let now_ms = u64::from(expires_secs) * 1000;
    check_encrypted(&token, victim, sequencer, now_ms).expect("the computation is as public as it is said to be");
    token
}
