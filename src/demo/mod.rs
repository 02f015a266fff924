//! A shop to watch, without a shop.

mod feed;
mod remote_write;
mod shop;

pub use feed::Feed;
pub use remote_write::{RequestEncoder, encode_labels};
pub use shop::{Fault, NODES_COUNT_MAX, SERIES_PER_NODE, Shop, ShopError, ShopOptions};
