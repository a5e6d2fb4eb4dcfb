//! Statuses that only another processor can cause, given by the module on demand: see
//! `hosts::busy`.
#![no_std]
#![no_main]

hosts::program!(hosts::busy::run);
