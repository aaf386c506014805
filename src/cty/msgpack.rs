//! The MessagePack form of values: every `DynamicValue` of the plugin protocol.
//!
//! The rules are Terraform's `docs/plugin-protocol/object-wire-format.md`. What this encoder writes is byte for byte what
//! Terraform's own library writes for the same value, except that whole numbers between 2⁶³ and 2⁶⁴ are integers here.

mod decode;
mod encode;

pub use decode::decode;
pub use encode::encode;

/// Extension code of an unknown value of which something is known. Every other code is a plain unknown.
const REFINED: i8 = 12;

/// Largest refinement payload. Terraform refuses longer ones.
const MAX_REFINEMENT_BYTES: usize = 1024;

/// Keys of the refinement map.
mod key {
    pub(super) const NULLNESS: u64 = 1;
    pub(super) const STRING_PREFIX: u64 = 2;
    pub(super) const NUMBER_LOWER: u64 = 3;
    pub(super) const NUMBER_UPPER: u64 = 4;
    pub(super) const LENGTH_LOWER: u64 = 5;
    pub(super) const LENGTH_UPPER: u64 = 6;
}

#[cfg(test)]
mod tests;
