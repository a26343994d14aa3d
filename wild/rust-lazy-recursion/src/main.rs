//! A lazy static that needs itself.

use lazy_static::lazy_static;
lazy_static! {
    static ref NAMES: Vec<String> = vec![default_name()];
}
fn default_name() -> String {
    NAMES.first().cloned().unwrap_or_else(|| String::from("default"))
}
fn main() {
    println!("start");
    println!("{:?}", *NAMES);
}
