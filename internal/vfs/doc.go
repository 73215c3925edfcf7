// Package vfs is the seam through which Torc reaches a file system.
//
// FS is Pebble's vfs.FS plus OpenFile, so that an index kept by Pebble and the
// container files that Torc writes itself live on one file system: one real
// directory, or one memory file system that crashes as a whole. File is what
// containers need and Pebble's File lacks: vectored positioned reads and writes,
// preallocation that reads as zeros, zeroing that gives space back.
//
// Three implementations:
//
//   - OS is the machine's file system (pwritev, fdatasync, fallocate).
//
//   - Mem keeps everything in memory. CrashClone returns the file system as a
//     power cut could leave it: all that was synced, and a random part (by seed) of
//     the 4 KiB blocks and directory entries that were not.
//
//   - Faulty wraps either and injects what its Faults say: errors, torn writes,
//     syncs that lie. Rules are text, one a line (see ParseRule):
//
//     sync & name('*.ctr') & nth(3) -> EIO
//     write & after-bytes(65536)    -> ENOSPC
//     write & nth(5)                -> torn(512)
//     sync & prob(0.01)             -> lie
//
// Errors are the operating system's (errors.Is with syscall.ENOSPC, fs.ErrNotExist
// and so on); packages above give them a kind of package internal/errs.
//
// A crash clone depends on Go's map order in directories besides its seed: a seed
// repeats the choice of data blocks, not always that of directory entries.
//
// Read next: FS and File in vfs.go, then package storage.
package vfs
