/* Strict base64 (RFC 4648, section 4): the standard alphabet with padding, nothing else. White space, the URL alphabet,
 * missing padding and stray bits in the last group are refused. Thread-safe. */
#ifndef SERVER_BASE64_H
#define SERVER_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The most bytes that `length` characters can stand for. */
size_t base64_bytes_max(size_t length);

/* Decodes into `out`, which has room for base64_bytes_max(length). False where the text is malformed; `out` then holds
 * something unspecified. */
bool base64_decode(const char *text, size_t length, uint8_t *out, size_t *size);

#endif
