//! How many bytes an allocation really takes, so that `maxmemory` means memory and not content.

/// The size class that jemalloc serves a request of `bytes` from, on 64-bit systems: multiples of 16 up to 128, then four
/// classes to each doubling (jemalloc(3), "Size classes"). 0 for nothing.
pub const fn allocation(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        1..=8 => 8,
        9..=128 => bytes.next_multiple_of(16),
        _ => {
            let doubling = usize::BITS - 1 - (bytes - 1).leading_zeros();
            bytes.next_multiple_of(1 << (doubling - 2))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::allocation;

    #[test]
    fn sizes_are_those_of_the_manual() {
        for (bytes, class) in [
            (0, 0),
            (1, 8),
            (8, 8),
            (9, 16),
            (17, 32),
            (65, 80),
            (81, 96),
            (128, 128),
            (129, 160),
            (161, 192),
            (193, 224),
            (257, 320),
            (321, 384),
            (513, 640),
            (1025, 1280),
            (4097, 5120),
            (14337, 16384),
        ] {
            assert_eq!(allocation(bytes), class, "{bytes}");
        }
    }
}
