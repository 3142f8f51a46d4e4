/* What the process of a daemon wants of the system, set once at its start, before there are threads. */
#ifndef SERVER_PROCESS_H
#define SERVER_PROCESS_H

#include <stddef.h>
#include <stdint.h>

/* Opens what is closed of the three standard descriptors, has large pieces of memory given back to the system when they
 * are freed, and raises the limit of open files, as far as it may, for so many connections. Where that is not enough,
 * the return value is the limit that there is; otherwise it is 0. */
uint64_t process_prepare(uint64_t connections);

#endif
