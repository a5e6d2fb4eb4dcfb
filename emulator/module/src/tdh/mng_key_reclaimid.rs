//! TDH.MNG.KEY.RECLAIMID: does nothing, in 1.5.01 too. [ABI-H 3.9]

use super::Leaf;

#[expect(clippy::unnecessary_wraps, reason = "every leaf has this signature")]
pub(crate) fn run() -> Leaf {
    Ok(())
}
