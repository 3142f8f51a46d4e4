/* The AMX instructions under names of their own, so that a test can put a model of them in plain C in their place.
 * Tile numbers have to be constants. */
#ifndef ESP_CORE_AMX_INSTRUCTIONS_H
#define ESP_CORE_AMX_INSTRUCTIONS_H

#include <cpuid.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What LDTILECFG reads: for each tile the bytes of a row and the rows. */
struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

/* Not GCC 12's intrinsics: they don't tell the compiler what memory LDTILECFG and TILELOADD read. */
#define tile_configure(config) __asm__ volatile("ldtilecfg %0" ::"m"(*(config)) : "memory")
#define tile_release()         __asm__ volatile("tilerelease" ::: "memory")
#define tile_zero(tile)        __asm__ volatile("tilezero %%tmm" #tile ::: "memory")
#define tile_load(tile, from, step)                                                                                    \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile ::"r"(from), "r"((long)(step)) : "memory")
#define tile_store(tile, to, step)                                                                                     \
    __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)" ::"r"(to), "r"((long)(step)) : "memory")
#define tile_multiply(sum, a, b) /* sum += a * b */                                                                    \
    __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #sum ::: "memory")

/* Whether the CPU has tiles and BF16 products, and the kernel lets this process use them: it saves their 8 KB only for
 * those that asked (Linux 5.16 and later). Asking twice does no harm. */
static bool tiles_permitted(void)
{
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    unsigned a, b, c, d;

    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d & bit_AMX_TILE) || !(d & bit_AMX_BF16))
        return false;
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

#endif
