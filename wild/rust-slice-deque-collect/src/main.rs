//! A collection that looks behind its end.

use slice_deque::SliceDeque;

fn main() {
    let names: SliceDeque<String> = ["one", "two"].map(String::from).into_iter().collect();
    println!("{}", names.len());
}
