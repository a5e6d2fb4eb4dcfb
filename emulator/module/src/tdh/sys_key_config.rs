//! TDH.SYS.KEY.CONFIG: the module's key is set on the one package. [ABI-H 3.5]
//!
//! Of itself never SYS_BUSY, KEY_CONFIGURED or KEY_GENERATION_FAILED: nobody else is in the
//! module, there is one package, and there is no engine to ask.

use abi::Status;

use super::Leaf;
use crate::module::Module;
use crate::sys::SysState;

pub(crate) fn run(module: &mut Module) -> Leaf {
    if module.state != SysState::ConfigDone {
        return Err(Status::SYS_KEY_CONFIG_NOT_PENDING);
    }
    module.state = SysState::Ready;
    Ok(())
}
