//! How the allocator treats large blocks.

/// From how many bytes on a block is the system's own, and goes back to it as soon as it is free.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const OWN_BLOCK: i32 = 1024 * 1024;

/// How much free memory at the end of a heap is kept.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT: i32 = 2 * 1024 * 1024;

/// Lets what was needed for a moment go back to the system: the 19 MiB that comparing a password takes, the buffers of
/// a list that was compiled.
///
/// GNU's allocator by itself raises the size from which it gives blocks back to that of the largest block it saw freed,
/// up to 32 MiB: after two passwords 38 MiB stay with a program that needs none of them. Other allocators are left as
/// they are. For the start of the program; later it does no harm.
pub(crate) fn give_back_large_blocks() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "the standard library has no way to set this")]
    // SAFETY: mallopt(3) takes two numbers and no pointer; it locks the arena that it changes, so other threads may
    // allocate meanwhile. What it refuses it leaves as it was, which costs memory and nothing else.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, OWN_BLOCK);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
    }
}
