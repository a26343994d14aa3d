//! As fixture.c, in Rust.
use std::hint::black_box;
use std::io::{Read, Write};

trait Step {
    fn run(&self, depth: u32) -> u64;
}

struct Storing;

impl Step for Storing {
    #[inline(never)]
    fn run(&self, depth: u32) -> u64 {
        let room: Vec<u64> = (0..u64::from(depth)).collect();
        if depth == 0 {
            std::process::abort();
        }
        black_box(self).run(depth - 1) + room.len() as u64
    }
}

struct Sorting;

impl Step for Sorting {
    #[inline(never)]
    fn run(&self, depth: u32) -> u64 {
        let mut numbers: Vec<u64> = (0..50).map(|number| number * 7919 % 101).collect();
        numbers.sort_by(|left, right| {
            if *left == 3 {
                Storing.run(depth);
            }
            left.cmp(right)
        });
        numbers[0]
    }
}

struct Panicking;

impl Step for Panicking {
    #[inline(never)]
    fn run(&self, depth: u32) -> u64 {
        std::panic::set_hook(Box::new(|_| std::process::abort()));
        let numbers: Vec<u32> = black_box(vec![]);
        u64::from(numbers[depth as usize])
    }
}

struct Overflowing;

impl Step for Overflowing {
    #[inline(never)]
    fn run(&self, depth: u32) -> u64 {
        let room = black_box([u64::from(depth); 8]);
        if depth == u32::MAX { 0 } else { black_box(self).run(depth + 1) + room[1] }
    }
}

fn main() {
    println!("ready");
    std::io::stdout().flush().unwrap();
    std::io::stdin().read_exact(&mut [0]).unwrap();
    let mode = std::env::args().nth(1).unwrap();
    let step: Box<dyn Step> = match mode.as_str() {
        "store" => Box::new(Storing),
        "sort" => Box::new(Sorting),
        "panic" => Box::new(Panicking),
        "overflow-handled" => Box::new(Overflowing),
        "thread" => {
            std::thread::spawn(|| black_box(&Sorting as &dyn Step).run(2)).join().unwrap();
            return;
        }
        _ => return,
    };
    black_box(step).run(black_box(3));
}
