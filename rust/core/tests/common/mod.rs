//! What tests of networks and tests of graphs share.

pub(crate) mod networks;
