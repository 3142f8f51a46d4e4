#include "server/http/random_hex.h"

#include "server/clock.h"

#include <stdint.h>
#include <sys/random.h>

/* So many bytes come from the system at a time: up to here getrandom gives all or nothing, and a request takes no
 * system call of its own. */
enum { STOCK = 256 };

static _Thread_local struct {
    uint8_t bytes[STOCK];
    size_t left;
} stock;

/* splitmix64, for systems that refuse to give random bytes: a name that somebody could guess does no harm. */
static void improvise(void)
{
    uint64_t state = clock_now() ^ (uintptr_t)&stock;

    for (size_t i = 0; i < STOCK; i++) {
        uint64_t mixed = state += 0x9e3779b97f4a7c15;
        mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
        mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
        stock.bytes[i] = (uint8_t)(mixed >> 56);
    }
}

static uint8_t random_byte(void)
{
    if (stock.left == 0) {
        if (getrandom(stock.bytes, STOCK, 0) != STOCK)
            improvise();
        stock.left = STOCK;
    }
    return stock.bytes[--stock.left];
}

void random_hex(char *text, size_t digits)
{
    static const char digit[] = "0123456789abcdef";

    for (size_t i = 0; i < digits; i += 2) {
        uint8_t byte = random_byte();
        text[i] = digit[byte >> 4];
        text[i + 1] = digit[byte & 15];
    }
    text[digits] = '\0';
}
