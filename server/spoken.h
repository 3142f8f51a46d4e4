/* Options of a request that are flags of a command: kept as text until the model is there, then read by the functions
 * that read those of the service. */
#ifndef SERVER_SPOKEN_H
#define SERVER_SPOKEN_H

#include "server/options.h"

enum { SPOKEN_MAX = OPTIONS };

struct spoken {
    struct field said[SPOKEN_MAX];
    size_t count;
};

/* The last one wins, as flags do. Both texts have to live on. */
void spoken_say(struct spoken *spoken, const char *name, const char *value);

/* Sets the options and closes their cutout. ESP_ERROR_ARGUMENT: what is wrong, in the words that a request would get.
 */
enum esp_status spoken_read(const struct spoken *spoken, struct options *options, struct esp_error *err);

#endif
