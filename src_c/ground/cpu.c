/* Which instruction sets run here. The sets are ordered: each includes the ones below.
 *
 * Asked of the processor itself (cpuid, xgetbv) in inline assembly rather than by __builtin_cpu_supports: the builtin
 * needs a runtime library that a program linked by clang-cl does not have. */
#include "../clstm.h"
#include "compiler.h"

#if CLSTM_X86

struct cpuid {
    uint32_t a, b, c, d;
};

static struct cpuid cpuid(uint32_t leaf, uint32_t subleaf) {
    struct cpuid r;
    __asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(subleaf));
    return r;
}

static int has(uint32_t word, uint32_t mask) { return (word & mask) == mask; }

/* The parts of a thread's registers that the operating system saves when it switches threads (XCR0). */
static uint32_t saved_registers(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

/* Bit numbers from the Intel Software Developer's Manual, volume 2 (CPUID) and volume 1, chapter 13 (XCR0). */
static clstm_isa detect(void) {
    const uint32_t fma_osxsave_avx = 1u << 12 | 1u << 27 | 1u << 28;
    const uint32_t avx2 = 1u << 5;
    const uint32_t avx512_f_dq_bw_vl = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
    const uint32_t saves_ymm = 0x06, saves_zmm = 0xe6;

    if (cpuid(0, 0).a < 7 || !has(cpuid(1, 0).c, fma_osxsave_avx)) return CLSTM_ISA_BASELINE;
    const uint32_t features = cpuid(7, 0).b, saved = saved_registers();
    if (!has(features, avx2) || !has(saved, saves_ymm)) return CLSTM_ISA_BASELINE;
    if (!has(features, avx512_f_dq_bw_vl)) return CLSTM_ISA_AVX2;
#if !defined(__APPLE__) /* macOS sets these bits only when a thread first uses AVX-512, and always saves it then */
    if (!has(saved, saves_zmm)) return CLSTM_ISA_AVX2;
#endif
    (void)saves_zmm;
    return CLSTM_ISA_AVX512;
}

#else

static clstm_isa detect(void) { return CLSTM_ISA_BASELINE; }

#endif

/* Asked once per process: under a hypervisor each cpuid costs microseconds, and every call of the core checks its
 * runtime. The answer never changes, so threads that ask at the same time may all store it. */
clstm_isa clstm_isa_best(void) {
    static int known; /* the answer plus 1; 0: not asked yet */
    int best = __atomic_load_n(&known, __ATOMIC_RELAXED);
    if (best == 0) {
        best = (int)detect() + 1;
        __atomic_store_n(&known, best, __ATOMIC_RELAXED);
    }
    return (clstm_isa)(best - 1);
}

int clstm_isa_available(clstm_isa isa) {
    const int value = (int)isa; /* may come from outside, so that it may be no clstm_isa */
    return value >= 0 && value < CLSTM_ISA_COUNT && value <= (int)clstm_isa_best();
}

const char *clstm_isa_name(clstm_isa isa) {
    switch (isa) {
    case CLSTM_ISA_BASELINE: return CLSTM_ARM ? "neon" : "baseline";
    case CLSTM_ISA_AVX2: return "avx2";
    case CLSTM_ISA_AVX512: return "avx512";
    case CLSTM_ISA_COUNT: break;
    }
    return "unknown";
}
