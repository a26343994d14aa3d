//! An insertion while a reference into the map is held.

fn main() {
    let map = dashmap::DashMap::new();
    map.insert("visits", 1);
    if let Some(count) = map.get("visits") {
        println!("{}", *count);
        map.insert("visits", *count + 1);
    }
    println!("{map:?}");
}
