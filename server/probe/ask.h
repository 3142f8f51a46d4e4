/* One question to a daemon: is it ready? */
#ifndef SERVER_PROBE_ASK_H
#define SERVER_PROBE_ASK_H

#include "server/probe/target.h"

#include <stdint.h>

/* Sends a GET and reads the status line of the answer, which has to be there at `deadline` (of clock_now()), however
 * slowly names are resolved and bytes trickle in. ESP_OK: the status is 2xx; redirects are not followed. ESP_ERROR_IO:
 * anything else; the text says what came instead. For a program of one thread that ends soon: a name that is still
 * being looked up at the deadline is left to it. */
enum esp_status probe_ask(const struct probe_target *target, uint64_t deadline, struct esp_error *err);

#endif
