/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What clang for BPF and gcc for the host spell differently, and the types that both need. */
#ifndef SHAKEOFF_BPF_LIB_COMPILER_H
#define SHAKEOFF_BPF_LIB_COMPILER_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#include <stdbool.h>
#endif

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

/* In front of a loop over a constant number of elements. clang takes no notice of "GCC unroll". */
#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* libbpf's, for what is compiled for the host as well. */
#ifndef barrier_var
#define barrier_var(var) asm volatile("" : "+r"(var))
#endif

/*
 * In BPF clang puts static tables of 16 and 32 bytes into sections of their own for merging, where BTF of the data section goes
 * wrong (clang 14), or which bpftool cannot join (clang 19). What is not static stays in .rodata.
 */
#ifdef __bpf__
#define CONST_TABLE const __attribute__((visibility("hidden")))
#else
#define CONST_TABLE static const
#endif

#endif
