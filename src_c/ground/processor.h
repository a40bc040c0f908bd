/* The few instructions that C has no words for. */
#ifndef CLSTM_PROCESSOR_H
#define CLSTM_PROCESSOR_H

#include <stdint.h>

#include "compiler.h"

/* Tells the processor that this is a waiting loop: some 20 to 50 ns. */
static inline void cpu_pause(void) {
#if CLSTM_X86
    __builtin_ia32_pause();
#elif CLSTM_ARM
    __asm__ volatile("isb" ::: "memory"); /* `yield` is the word for it, but takes no time on most processors */
#endif
}

/* How this thread rounds and treats denormal numbers. Any library may change it for one thread (code built with
 * -ffast-math does so when it is loaded), so that whoever works for another thread must adopt its mode. */
typedef uint64_t float_mode;

static inline float_mode float_mode_get(void) {
#if CLSTM_X86
    return __builtin_ia32_stmxcsr() & ~0x3fu; /* the low bits are not a mode: exceptions that have occurred */
#elif CLSTM_ARM
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
#else
    return 0;
#endif
}

static inline void float_mode_set(float_mode mode) {
#if CLSTM_X86
    __builtin_ia32_ldmxcsr((uint32_t)mode);
#elif CLSTM_ARM
    __asm__ volatile("msr fpcr, %0" ::"r"(mode));
#else
    (void)mode;
#endif
}

/* From now on this thread takes denormal numbers for zero, and makes none; returns the mode before. A state or an input
 * that fades away ends among them, and arithmetic with them is slow on many processors. */
static inline float_mode float_mode_flush(void) {
    const float_mode before = float_mode_get();
#if CLSTM_X86
    float_mode_set(before | 0x8040);
#elif CLSTM_ARM
    float_mode_set(before | (float_mode)1 << 24);
#endif
    return before;
}

#endif
