/* Options as they stand in a query or in a form field: `categories=cat,animal/dog/chihuahua`, `attention=cat:2,food:0`,
 * `top=3`, `groups=true`, `search=beam:2`, `budget=macs:90000000`. Flags of the command line and parameters of
 * inference requests have the same texts, so problems show these alone, without an equals sign. */
#ifndef SERVER_OPTIONS_TEXT_H
#define SERVER_OPTIONS_TEXT_H

#include "server/options.h"

/* Takes one option. Answers with a problem and gives false where it is unknown, said twice, or malformed (422). */
bool options_text(struct options *options, const struct field *field, struct response *response);

/* Takes one element of the option attention, such as cat:2.0; likewise. */
bool options_weight_text(struct options *options, const char *text, size_t length, struct response *response);

/* A decimal number such as 2, -0.5 or 1e-3, which has to be the whole text; no NaN, infinity, hexadecimal or spaces. */
bool options_number(const char *text, size_t length, double *number);

#endif
