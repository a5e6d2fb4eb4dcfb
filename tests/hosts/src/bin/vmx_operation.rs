//! VMX operation, and SEAMCALL outside of it: see `hosts::vmx`.
#![no_std]
#![no_main]

hosts::program!(|_| hosts::vmx::run());
