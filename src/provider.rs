//! The provider: its configuration and what it offers.

pub mod data;

pub use data::ProviderData;
