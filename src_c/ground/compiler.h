/* Everything that depends on the compiler or the platform, each with its reason. */
#ifndef CLSTM_COMPILER_H
#define CLSTM_COMPILER_H

#if !defined(__GNUC__) && !defined(__clang__) /* clang-cl defines the latter alone */
#error "clstm is written with GCC/Clang vector types: use gcc, clang or clang-cl"
#endif

#if defined(__x86_64__) || defined(_M_X64)
#define CLSTM_X86 1
#else
#define CLSTM_X86 0
#endif

#if defined(__aarch64__) || defined(_M_ARM64)
#define CLSTM_ARM 1
#else
#define CLSTM_ARM 0
#endif

/* Kernel bodies must merge into their instance: a call would pass vectors through memory, and the accumulators of
 * a tile would leave the registers. */
#define CLSTM_INLINE static inline __attribute__((always_inline))

/* A tile with fixed sizes is a function of its own, so that one tile's registers never mix with another's. */
#define CLSTM_NOINLINE static __attribute__((noinline))

/* Unrolls a loop whose bound is known after inlining; without it, gcc keeps arrays of vectors in memory. */
#define CLSTM_UNROLL _Pragma("GCC unroll 8")

/* A wheel must run on every processor of its architecture, so an instruction set is switched on for a region of a
 * file and never by a compiler flag. gcc and clang spell it differently. */
#define CLSTM_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define CLSTM_TARGET_BEGIN(isa) CLSTM_PRAGMA(clang attribute push(__attribute__((target(isa))), apply_to = function))
#define CLSTM_TARGET_END _Pragma("clang attribute pop")
#else
#define CLSTM_TARGET_BEGIN(isa) _Pragma("GCC push_options") CLSTM_PRAGMA(GCC target(isa))
#define CLSTM_TARGET_END _Pragma("GCC pop_options")
#endif

#endif
