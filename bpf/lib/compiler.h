/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What clang for BPF and gcc for the host spell differently. */
#ifndef SHAKEOFF_BPF_LIB_COMPILER_H
#define SHAKEOFF_BPF_LIB_COMPILER_H

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

#endif
