/* Random names in hexadecimal digits: nobody else makes the same one, but they are no secrets. Thread-safe. */
#ifndef SERVER_HTTP_RANDOM_HEX_H
#define SERVER_HTTP_RANDOM_HEX_H

#include <stddef.h>

/* Writes `digits` (an even number) random digits of 0-9a-f and a 0 behind them. */
void random_hex(char *text, size_t digits);

#endif
