/* The options of a request: what they are called, what they may be, and what they do to its cutout. How they are
 * written, as text or as JSON, is the business of options_text.h and options_json.h.
 *
 * All functions that can fail answer the request with a problem and give false. Used by one thread at a time. */
#ifndef SERVER_OPTIONS_H
#define SERVER_OPTIONS_H

#include "espalier/cutout.h"
#include "server/http/exchange.h"

enum option_id {
    OPTION_CATEGORIES,
    OPTION_ATTENTION,
    OPTION_TOP,
    OPTION_GROUPS,
    OPTION_SEARCH,
    OPTION_BUDGET,
    OPTION_MODEL,
    OPTION_TIMEOUT_MS,
    OPTIONS
};

struct options {
    esp_cutout *cutout;
    unsigned seen; /* a bit for each option that was said */
    uint64_t top;
    uint64_t timeout_ms; /* never more than the server's */
    bool groups;
};

/* Everything at its default; the cutout is reset and open. */
void options_begin(struct options *options, uint64_t timeout_ms);

/* Finds the option by its name. Saying one twice, or one that there is not, is 422. */
bool options_name(struct options *options, const char *name, size_t length, enum option_id *option,
                  struct response *response);

/* Adds a category or a group to the selection; gives a node its weight. */
bool options_select(struct options *options, const char *name, size_t length, struct response *response);
bool options_attend(struct options *options, const char *name, size_t length, double weight, struct response *response);

/* How many inner branches of each level a search descends into, and how many MACs it may spend: from 1. `example` is
 * one in the form that the client has to write, as what another form takes may be refused in this one. */
bool options_beam(struct options *options, uint64_t branches, const char *example, struct response *response);
bool options_budget(struct options *options, uint64_t macs, const char *example, struct response *response);

bool options_top(struct options *options, uint64_t top, struct response *response);
bool options_model(struct options *options, const char *name, size_t length, struct response *response);

/* More than the server's time means the server's. */
bool options_timeout(struct options *options, uint64_t timeout_ms, struct response *response);

/* Everything is said: closes the cutout. */
bool options_finish(struct options *options, struct response *response);

#endif
