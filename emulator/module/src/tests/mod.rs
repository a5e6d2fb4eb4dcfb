//! The module over a fake machine: lifecycles, tables of the reference, properties.

mod fake;
mod guest;
mod host;
mod hostile;
mod lifecycle;
mod memory;
mod model;
mod system;
mod violations;
