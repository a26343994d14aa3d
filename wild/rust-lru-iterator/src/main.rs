//! An iterator that outlives what it stands on.

fn main() {
    let mut cache = lru::LruCache::new(2);
    cache.put(1, String::from("one"));
    cache.put(2, String::from("two"));
    let mut all = cache.iter();
    let (_, first) = all.next().unwrap();
    cache.pop(&2);
    println!("{first:?} {:?}", all.next());
}
