//! The secp256k1 arithmetic beyond signatures that sessions and the transport need.

use k256::elliptic_curve::group::Group;
use k256::elliptic_curve::ops::{MulByGeneratorVartime, Reduce};
use k256::elliptic_curve::point::{AffineCoordinates, DecompactPoint};
use k256::elliptic_curve::subtle::ConditionallySelectable;
use k256::{AffinePoint, FieldBytes, ProjectivePoint, Scalar};
use sha2::{Digest, Sha256};

/// The point of even y with this x, if there is one.
pub(crate) fn lift_x(x: &[u8; 32]) -> Option<ProjectivePoint> {
    AffinePoint::decompact(&FieldBytes::from(*x)).into_option().map(ProjectivePoint::from)
}

/// 32 bytes, big-endian, modulo the group's order.
pub(crate) fn scalar(bytes: &[u8; 32]) -> Scalar {
    <Scalar as Reduce<FieldBytes>>::reduce(&FieldBytes::from(*bytes))
}

/// The challenge of BIP-340 for a signature that begins with `r`.
pub(crate) fn challenge(r: &[u8; 32], key: &[u8; 32], message: &[u8; 32]) -> Scalar {
    let tag = Sha256::digest(b"BIP0340/challenge");
    let digest =
        Sha256::new().chain_update(tag).chain_update(tag).chain_update(r).chain_update(key).chain_update(message);
    scalar(&digest.finalize().into())
}

/// The x coordinate; the point at infinity has none.
pub(crate) fn x_of(point: &ProjectivePoint) -> Option<[u8; 32]> {
    if bool::from(point.is_identity()) { None } else { Some(point.to_affine().x().into()) }
}

/// `a·G + b·P` for public values.
pub(crate) fn combine_public(a: &Scalar, b: &Scalar, point: &ProjectivePoint) -> ProjectivePoint {
    ProjectivePoint::mul_by_generator_and_mul_add_vartime(a, b, point)
}

/// `k` or `−k`, whichever gives `k·G` an even y, with that point's x; constant in time.
pub(crate) fn even_half(k: &Scalar) -> (Scalar, [u8; 32]) {
    let point = ProjectivePoint::mul_by_generator(k).to_affine();
    (Scalar::conditional_select(k, &-*k, point.y_is_odd()), point.x().into())
}
