/* Cuts the data of the inputs out of a request's JSON, so that a JSON library that makes an object of each number never
 * sees them: what is left is small, and the numbers are read later, where they are needed (numbers.h).
 *
 * Nothing is judged here but what has to be cut: malformed JSON stays malformed in what is left, or in what was cut. */
#ifndef SERVER_V2_CUT_H
#define SERVER_V2_CUT_H

#include "server/http/exchange.h"
#include "server/v2/limits.h"

/* The array that an input has as its data, from bracket to bracket; points into the body. */
struct cut {
    const char *text;
    size_t size;
    size_t elements; /* as many as its commas tell, however they are nested; 0 where there is nothing in it */
};

struct cuts {
    struct cut list[V2_INPUTS_MAX];
    size_t count;
};

/* Writes `text` to `rest`, where the data of each input is replaced by its number in `cuts`; null, which is none,
 * stays. Answers and gives false where data is no array or the name of a member of the request or of an input has escapes
 * (422), or what is left is too much (413). `rest` is the caller's to free either way. */
bool cuts_make(struct cuts *cuts, const char *text, size_t size, struct bytes *rest, struct response *response);

#endif
