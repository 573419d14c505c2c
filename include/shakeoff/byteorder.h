/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Network byte order, for constants and values alike, in BPF and on the host. */
#ifndef SHAKEOFF_BYTEORDER_H
#define SHAKEOFF_BYTEORDER_H

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define to_be16(x) ((__be16)__builtin_bswap16(x))
#define to_be32(x) ((__be32)__builtin_bswap32(x))
#define from_be16(x) ((__u16)__builtin_bswap16(x))
#define from_be32(x) ((__u32)__builtin_bswap32(x))
#else
#define to_be16(x) ((__be16)(x))
#define to_be32(x) ((__be32)(x))
#define from_be16(x) ((__u16)(x))
#define from_be32(x) ((__u32)(x))
#endif

#endif
