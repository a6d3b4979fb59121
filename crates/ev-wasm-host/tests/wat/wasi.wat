;; Imports all that a module may import, calls each when it is asked to describe itself, and
;; answers with what came back: 8 hex digits and a blank for each number.
(module
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock_time_get (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_fdstat_get" (func $fd_fdstat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_fdstat_set_flags" (func $fd_fdstat_set_flags (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_dir_name" (func $fd_prestat_dir_name (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_get" (func $fd_prestat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sched_yield" (func $sched_yield (result i32)))

  (memory (export "memory") 2)
  (global $out (mut i32) (i32.const 4096))
  (global $initialized (mut i32) (i32.const 0))

  (func (export "_initialize")
    (global.set $initialized (i32.add (global.get $initialized) (i32.const 1))))

  (func (export "ev_abi_version") (result i32) i32.const 1)
  (func (export "ev_alloc") (param i32) (result i32) i32.const 1024)
  (func (export "ev_error") (result i64) i64.const 0)

  (func (export "ev_decode_batch") (param i32 i32 i32) (result i64)
    (call $proc_exit (i32.const 3))
    ;; Not reached.
    (i64.const 0))

  (func $say (param $value i32)
    (local $shift i32)
    (local $digit i32)
    (local.set $shift (i32.const 28))
    (loop $next
      (local.set $digit
        (i32.and (i32.shr_u (local.get $value) (local.get $shift)) (i32.const 15)))
      (i32.store8 (global.get $out)
        (i32.add (local.get $digit)
          (select (i32.const 48) (i32.const 87) (i32.lt_u (local.get $digit) (i32.const 10)))))
      (global.set $out (i32.add (global.get $out) (i32.const 1)))
      (local.set $shift (i32.sub (local.get $shift) (i32.const 4)))
      (br_if $next (i32.ge_s (local.get $shift) (i32.const 0))))
    (i32.store8 (global.get $out) (i32.const 32))
    (global.set $out (i32.add (global.get $out) (i32.const 1))))

  (func $say_memory (param $at i32)
    (call $say (i32.load (local.get $at))))

  (func (export "ev_describe") (result i64)
    (global.set $out (i32.const 4096))
    (call $say (global.get $initialized))

    ;; No arguments and no environment; their sizes are written over what stood there.
    (i64.store (i32.const 2048) (i64.const -1))
    (call $say (call $args_sizes_get (i32.const 2048) (i32.const 2052)))
    (call $say_memory (i32.const 2048))
    (call $say_memory (i32.const 2052))
    (call $say (call $args_get (i32.const 2048) (i32.const 2052)))
    (i64.store (i32.const 2048) (i64.const -1))
    (call $say (call $environ_sizes_get (i32.const 2048) (i32.const 2052)))
    (call $say_memory (i32.const 2048))
    (call $say_memory (i32.const 2052))
    (call $say (call $environ_get (i32.const 2048) (i32.const 2052)))

    ;; A clock that counts calls, whichever clock is asked.
    (call $say (call $clock_time_get (i32.const 0) (i64.const 1) (i32.const 2048)))
    (call $say_memory (i32.const 2048))
    (call $say_memory (i32.const 2052))
    (call $say (call $clock_time_get (i32.const 1) (i64.const 1) (i32.const 2048)))
    (call $say_memory (i32.const 2048))

    ;; The same bytes for ever, and not more of them than there are.
    (i64.store (i32.const 2048) (i64.const 0))
    (call $say (call $random_get (i32.const 2048) (i32.const 4)))
    (call $say_memory (i32.const 2048))
    (call $say_memory (i32.const 2052))
    (call $say (call $random_get (i32.const 2048) (i32.const 0)))

    (call $say (call $sched_yield))
    (call $say (call $poll_oneoff (i32.const 2048) (i32.const 2048) (i32.const 1) (i32.const 2048)))

    ;; No file, no stream.
    (call $say (call $fd_write (i32.const 1) (i32.const 2048) (i32.const 1) (i32.const 2048)))
    (call $say (call $fd_close (i32.const 0)))
    (call $say (call $fd_fdstat_get (i32.const 2) (i32.const 2048)))
    (call $say (call $fd_fdstat_set_flags (i32.const 0) (i32.const 0)))
    (call $say (call $fd_prestat_get (i32.const 3) (i32.const 2048)))
    (call $say (call $fd_prestat_dir_name (i32.const 3) (i32.const 2048) (i32.const 1)))

    ;; Pointers outside of the memory, and sizes beyond it.
    (call $say (call $args_sizes_get (i32.const 131069) (i32.const 2048)))
    (call $say (call $environ_sizes_get (i32.const 2048) (i32.const -1)))
    (call $say (call $clock_time_get (i32.const 0) (i64.const 1) (i32.const 131065)))
    (call $say (call $random_get (i32.const 131070) (i32.const 3)))
    (call $say (call $random_get (i32.const -1) (i32.const 1)))
    (call $say (call $random_get (i32.const 0) (i32.const 65537)))
    (call $say (call $random_get (i32.const 0) (i32.const -1)))

    (i64.or
      (i64.shl (i64.const 4096) (i64.const 32))
      (i64.extend_i32_u (i32.sub (global.get $out) (i32.const 4096)))))
)
