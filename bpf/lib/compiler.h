/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Differences between clang for BPF and gcc for the host, and the types that both need. */
#ifndef SHAKEOFF_BPF_LIB_COMPILER_H
#define SHAKEOFF_BPF_LIB_COMPILER_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#include <stdbool.h>
#endif

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

/* Goes before a loop over a constant number of elements. clang ignores "GCC unroll". */
#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* libbpf's macro, for code that is also compiled for the host. */
#ifndef barrier_var
#define barrier_var(var) asm volatile("" : "+r"(var))
#endif

/*
 * clang for BPF puts static tables of 16 and 32 bytes into separate mergeable sections. With clang 14 the data
 * section's BTF is then wrong; with clang 19 bpftool cannot join the sections. Tables that are not static stay in
 * .rodata.
 */
#ifdef __bpf__
#define CONST_TABLE const __attribute__((visibility("hidden")))
#else
#define CONST_TABLE static const
#endif

#endif
